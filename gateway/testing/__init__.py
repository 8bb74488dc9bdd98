"""The kit for plugin authors, and the faults that the gateway's own tests arm."""
