"""Follows one folder: connects, collects, idles; comes back after every fault."""

from __future__ import annotations

import asyncio
import random

from gateway.errors import GatewayError
from gateway.model import ChannelId, Health, HealthStatus
from gateway.plugin import Context
from gateway_email.collecting import Collector
from gateway_email.config import EmailChannelConfig, EmailSettings
from gateway_email.imap import Mailbox, MailboxError, open_mailbox
from gateway_email.oauth2 import Tokens

FIRST_PAUSE = 0.5
"""Seconds before the first new attempt; each one more doubles them."""

LONGEST_PAUSE = 20.0


class Follower:
    """One folder of a mailbox, on a connection of its own."""

    def __init__(
        self,
        channel_id: ChannelId,
        config: EmailChannelConfig,
        context: Context[EmailSettings],
        folder: str,
        tokens: Tokens | None = None,
    ) -> None:
        """Follow ``folder``; nothing is opened yet."""
        self.folder = folder
        self._channel = channel_id
        self._config = config
        self._tokens = tokens
        self._context = context
        self._collector = Collector(channel_id, config, context, folder)
        self._seen_alive: float | None = None
        self._failures = 0
        self._failure = ""

    async def run(self) -> None:
        """Follow the folder until cancelled, with growing pauses after faults."""
        while True:
            try:
                await self.follow()
            except GatewayError as error:
                self._note(error)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)

    async def follow(self) -> None:
        """Collect what is there, then idle, again and again, on one connection.

        Raises:
            MailboxError: the connection failed.
            StoreError: what was fetched could not be stored.

        """
        opened = open_mailbox(
            self._config,
            self.folder,
            on_alive=self._note_life,
            tokens=self._tokens,
        )
        async with opened as mailbox:
            await mailbox.make_done_folder()
            known = (0, 0)
            while True:
                known = await self._collect(mailbox, known)
                if self._failures:
                    self._context.log.info("folder_followed", channel=self._channel)
                self._failures, self._failure = 0, ""
                await mailbox.wait_for_news(self._config.idle_seconds)
                await self._collector.count_too_large(mailbox)
                await mailbox.select()

    def health(self) -> Health:
        """Say how long ago the server last answered, and what is amiss."""
        if self._seen_alive is None:
            text = f"{self.folder}: not connected yet"
            return Health(status=HealthStatus.DOWN, text=self._with_failure(text))
        age = self._context.clock.monotonic() - self._seen_alive
        text = self._with_failure(f"{self.folder}: last sign of life {age:.0f} s ago")
        if age > self._config.idle_seconds + 2 * self._config.timeout:
            return Health(status=HealthStatus.DOWN, text=text)
        if count := self._collector.too_large:
            text += f"; {count} mail(s) over max_bytes left in the folder"
        if refused := self._collector.refused:
            text += f"; {refused} mail(s) left that the server does not hand out"
        if count or refused or self._failure:
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK, text=text)

    async def _collect(
        self, mailbox: Mailbox, known: tuple[int, int]
    ) -> tuple[int, int]:
        """Collect until nothing has come in meanwhile; return the position reached."""
        while mailbox.position != known:
            known = mailbox.position
            await self._collector.collect(mailbox)
            await self._collector.count_too_large(mailbox)
            # Last before IDLE: news that come with another command are dropped.
            await mailbox.select()
        return known

    def _with_failure(self, text: str) -> str:
        return f"{text}; {self._failure}" if self._failure else text

    def _note(self, error: GatewayError) -> None:
        """Tell once what is amiss; the health goes on telling it."""
        self._failures += 1
        code = error.code if isinstance(error, MailboxError) else type(error).__name__
        self._failure = str(error) if isinstance(error, MailboxError) else code
        if self._failures == 1:
            self._context.log.warning(
                "folder_failed", channel=self._channel, error=code
            )

    def _note_life(self) -> None:
        self._seen_alive = self._context.clock.monotonic()
