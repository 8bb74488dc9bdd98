"""A plugin in one file: flags messages that speak of danger, and counts what happens.

Put it beside your configuration: ``plugins = ["one_file_plugin.py:UrgentWords"]``.
"""

from collections import Counter

from gateway.model import Action, Event, Health, HealthStatus, Message, Verdict
from gateway.plugin import NoConfig, Plugin, hookimpl

WORDS = ("fuga di gas", "incendio", "crollo", "ferito")
REASON = "Possibile emergenza: chi scrive potrebbe aver bisogno del 112."


class UrgentWords(Plugin[NoConfig]):
    """Asks staff to look at once."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    @hookimpl
    async def moderate_message(self, message: Message) -> Verdict | None:
        """Flag the message if one of the words is in it; it goes on all the same."""
        if not any(word in message.text.casefold() for word in WORDS):
            return None
        return Verdict(action=Action.FLAG, rule="urgent", reason=REASON, source="city")

    @hookimpl
    async def observe_event(self, event: Event) -> None:
        """Count events by their kind."""
        self._seen[event.action] += 1

    @hookimpl
    async def check_health(self) -> Health:
        """Say what happened most."""
        most = ", ".join(f"{kind}: {n}" for kind, n in self._seen.most_common(3))
        return Health(status=HealthStatus.OK, text=most or "nothing happened yet")
