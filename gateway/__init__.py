"""municipal-gateway: the gateway through which a city hall talks with its citizens."""

__version__ = "0.1.0"
