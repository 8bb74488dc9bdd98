"""A plugin in one file, with types that are looked up at run time."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Message
from gateway.plugin import Context, NoConfig, Plugin, hookimpl


@dataclass(frozen=True)
class Greeting:
    """Needs its module to be importable by name."""

    text: str


class Greeter(Plugin[NoConfig]):
    """Leaves messages as they are."""

    @hookimpl
    async def enrich_message(
        self, context: Context[NoConfig], message: Message
    ) -> Message | None:
        """Do nothing."""
        return None


NOT_A_CLASS = Greeting("ciao")


class NotAPlugin:
    """Has nothing to do with us."""


class Unmakeable(Plugin[NoConfig]):
    """Fails when it is made."""

    def __init__(self) -> None:
        raise RuntimeError("no way")
