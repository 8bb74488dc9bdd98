"""The plugin host: the only place that touches pluggy.

It loads plugins, holds them to the hook specifications and calls them, one typed method
a hook. A plugin's fault stays its own: whatever it raises, however long it hangs,
whatever it returns, the stream goes on (design.md §5).
"""

from gateway.host.guard import Timeouts
from gateway.host.plugin_host import PluginHost

__all__ = ["PluginHost", "Timeouts"]
