"""A plugin that offers what another one offers too."""

from gateway.connector import Connector, ConnectorType
from gateway.plugin import NoConfig, Plugin, hookimpl


class Sister(Plugin[NoConfig]):
    """Offers a connector under the name of another."""

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        """Offer ``email``."""
        return [ConnectorType("email", NoConfig, Connector)]
