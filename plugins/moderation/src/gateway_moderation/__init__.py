"""Moderation by word lists: holds or flags messages with offensive language."""

from __future__ import annotations

import asyncio

from gateway.model import Action, Health, HealthStatus, Message, Verdict
from gateway.plugin import Context, Plugin, hookimpl
from gateway_moderation import lists
from gateway_moderation.config import ModerationConfig
from gateway_moderation.index import WordIndex

__all__ = ["RULE", "ModerationConfig", "ModerationPlugin"]

RULE = "offensive-language"
"""The rule of the city that a listed word breaks."""

_ACTIONS = {"hold": Action.HOLD, "flag": Action.FLAG}
_REASON = (
    "Linguaggio offensivo: il testo contiene parole o espressioni"
    " non ammesse dalle regole di comportamento (regola «{rule}»)."
)


class ModerationPlugin(Plugin[ModerationConfig]):
    """Judges the text of a message by word lists."""

    def __init__(self) -> None:
        """Know no words before `startup`."""
        self._words = WordIndex(())

    @hookimpl
    async def startup(self, context: Context[ModerationConfig]) -> None:
        """Read the lists.

        Raises:
            PluginError: one can't be read.

        """
        self._words = await asyncio.to_thread(_index_of, context.config)

    @hookimpl
    async def moderate_message(
        self, context: Context[ModerationConfig], message: Message
    ) -> Verdict | None:
        """Return a verdict with the places of the words, if there are any."""
        evidence = self._words.find(message.text)
        if not evidence:
            return None
        return Verdict(
            action=_ACTIONS[context.config.action],
            rule=RULE,
            reason=_REASON.format(rule=RULE),
            source="moderation",
            evidence=evidence,
        )

    @hookimpl
    async def check_health(self) -> Health:
        """Say how many words are looked for; none is hardly meant."""
        count = len(self._words)
        status = HealthStatus.OK if count else HealthStatus.DEGRADED
        return Health(status=status, text=f"{count} words and phrases")


def _index_of(config: ModerationConfig) -> WordIndex:
    builtin = lists.builtin() if config.builtin else ()
    return WordIndex((*builtin, *lists.read_lists(config.lists)))
