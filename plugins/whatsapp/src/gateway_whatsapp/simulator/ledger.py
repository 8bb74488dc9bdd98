"""What reached the simulator, written down outside the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One ``POST …/messages``: what was asked, and how it ended (``outcome``)."""

    at: datetime
    body: Any
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """One message that went out to a citizen's telephone.

    ``to`` is the number or user id as it was asked for, ``number`` the number if it is
    known.
    """

    at: datetime
    wamid: str
    to: str
    type: str
    text: str
    biz_opaque_callback_data: str | None
    context_id: str | None
    media_id: str | None = None
    filename: str | None = None
    template: str | None = None
    parameters: tuple[str, ...] = ()
    number: str = ""
    phone_number_id: str = ""
    interactive: str | None = None
    menu: tuple[tuple[str, str], ...] = ()
    """Id and title of each option."""
    location: tuple[float, float] | None = None
    reaction: str | None = None
    """The emoji; an empty one takes the reaction back."""
    reaction_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMark:
    """One of a citizen's messages was marked as read, and perhaps we are typing."""

    at: datetime
    message_id: str
    typing: bool


@dataclass(slots=True)
class Ledger:
    """Every attempt and every accepted message, in order.

    ``withheld`` are the webhooks that blocked citizens would have caused.
    """

    attempts: list[Attempt] = field(default_factory=list)
    sent: list[SentMessage] = field(default_factory=list)
    read_marks: list[ReadMark] = field(default_factory=list)
    withheld: list[Any] = field(default_factory=list)
    on_sent: Callable[[SentMessage], None] | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, attempt: Attempt, sent: SentMessage | None) -> None:
        """Note an attempt, and what came of it."""
        self.attempts.append(attempt)
        if sent is not None:
            self.sent.append(sent)
            if self.on_sent is not None:
                self.on_sent(sent)
        async with self._news:
            self._news.notify_all()

    async def wait_sent(self, count: int, timeout: float) -> list[SentMessage]:  # noqa: ASYNC109 (told to the caller with what is there)
        """Wait until ``count`` messages went out; return them all.

        Raises:
            TimeoutError: fewer did within ``timeout`` seconds.

        """
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(lambda: len(self.sent) >= count)
        except TimeoutError:
            text = f"{len(self.sent)} of {count} messages within {timeout:g} s"
            raise TimeoutError(text) from None
        return list(self.sent)
