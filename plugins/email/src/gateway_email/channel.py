"""The channel: a mailbox to which citizens and offices write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from typing import Any

from gateway.channel import Channel, Line
from gateway.errors import AttachmentError, DeliveryError, Unreadable
from gateway.model import (
    Address,
    Attachment,
    ChannelId,
    Enclosure,
    Health,
    HealthStatus,
    Inbound,
    Item,
    Message,
    Original,
    Outgoing,
    Receipt,
    Semantics,
)
from gateway.plugin import Context
from gateway_email.config import EmailChannelConfig, EmailSettings, is_address
from gateway_email.delivery import read_enclosures, send
from gateway_email.imap import Mailbox, MailboxError, open_mailbox
from gateway_email.isolation import Child
from gateway_email.parse import part_content, sender_of
from gateway_email.reading import Ours, read_stored
from gateway_email.render import render_outgoing
from gateway_email.stationery import Stationery

_BATCH = 50
"""Mails that are marked as done together."""

_CHUNK = 64 * 1024


class EmailChannel(Channel[EmailChannelConfig]):
    """Collects mail by IMAP, answers by SMTP.

    A mail is stored first, then marked on the server, then the cursor moves on; what
    is interrupted in between is seen again under the same external id.
    """

    semantics = Semantics.BLIND

    def __init__(
        self,
        channel_id: ChannelId,
        config: EmailChannelConfig,
        context: Context[Any],
        child: Child | None = None,
    ) -> None:
        """Keep what is needed; the connection is opened by `receive`.

        ``child`` is shared by the channels of a gateway.
        """
        super().__init__(channel_id, config, context)
        self.child = child or Child()
        self._seen_alive: float | None = None
        self._too_large = 0

    @property
    def settings(self) -> EmailSettings:
        """Return the plugin's own section: account and addresses of the city."""
        settings: EmailSettings = self.context.config
        return settings

    @cached_property
    def stationery(self) -> Stationery:
        """Return the templates, read once."""
        context = self.context
        return Stationery(self.settings.templates, context.language, context.log)

    def carries(self, enclosure: Enclosure) -> bool:
        """Tell that any file can go: a mail names those it is too small for."""
        del enclosure
        return True

    def line(self, to: Address) -> Line:
        """Return the line of the recipient's domain."""
        domain = to.value.rpartition("@")[2].casefold()
        return Line(name=domain, width=self.settings.domain_concurrency)

    async def receive(self) -> None:
        """Collect what is there, then idle, again and again.

        Raises:
            MailboxError: the connection failed; the gateway starts this again.

        """
        async with open_mailbox(self.config) as mailbox:
            await mailbox.make_done_folder()
            known = (0, 0)
            while True:
                known = await self._collect_all(mailbox, known)
                await mailbox.wait_for_news(self.config.idle_seconds)

    def parse(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail here and now; the gateway calls `read`.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """
        return read_stored(inbound, self._ours)

    async def read(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail in a child process.

        Raises:
            PayloadError: it can't be read within the limits; it is kept and shown.
            Overloaded: it had no turn; it is read later.

        """
        return await self.child.run(read_stored, inbound, self._ours)

    @property
    def _ours(self) -> Ours:
        settings = self.settings
        return Ours(
            key=settings.key.get_secret_value().encode(),
            domain=settings.domain,
            addresses=(settings.sender, settings.reply_to, self.config.username),
            authserv_id=self.config.authserv_id,
        )

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Mail an answer to a citizen.

        Raises:
            DeliveryError: it was not taken, or whether it was is unknown.

        """
        if not is_address(outgoing.to.value):
            text = "the citizen's address is no valid one"
            raise DeliveryError("bad_address", text, retryable=False)
        contents = await read_enclosures(outgoing.enclosures, self.settings.max_bytes)
        mail = await asyncio.to_thread(
            render_outgoing, outgoing, self.settings, self.stationery, contents
        )
        return await send(
            mail,
            [outgoing.to.value],
            delivery_id=outgoing.delivery_id,
            settings=self.settings,
            context=self.context,
        )

    async def fetch(
        self, original: Original, attachment: Attachment
    ) -> AsyncIterator[bytes]:
        """Stream an attachment out of the stored mail.

        Raises:
            AttachmentError: the mail has no such part.

        """
        try:
            content = await self.child.run(
                part_content, original.body, attachment.locator
            )
        except Unreadable as error:
            raise AttachmentError(
                error.code, error.complaint, retryable=False
            ) from None
        for start in range(0, len(content), _CHUNK):
            yield content[start : start + _CHUNK]

    async def close(self) -> None:
        """End the child processes."""
        await self.child.close()

    async def check(self) -> Health:
        """Log in and select the folder; change nothing."""
        try:
            async with open_mailbox(self.config):
                return Health(status=HealthStatus.OK)
        except MailboxError as error:
            return Health(status=HealthStatus.DOWN, text=str(error))

    def health(self) -> Health:
        """Say how long ago the server last answered, and what it can't hand over."""
        if self._seen_alive is None:
            return Health(status=HealthStatus.DOWN, text="not connected yet")
        age = self.context.clock.monotonic() - self._seen_alive
        text = f"last sign of life {age:.0f} s ago"
        if age > self.config.idle_seconds + 2 * self.config.timeout:
            return Health(status=HealthStatus.DOWN, text=text)
        if self._too_large:
            text += f"; {self._too_large} mail(s) over max_bytes left in the folder"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return Health(status=HealthStatus.OK, text=text)

    async def _collect_all(
        self, mailbox: Mailbox, known: tuple[int, int]
    ) -> tuple[int, int]:
        """Collect until nothing has come in meanwhile; return the position reached."""
        self._too_large = await mailbox.count_larger(self.config.max_bytes)
        await mailbox.select()
        while mailbox.position != known:
            known = mailbox.position
            await self._collect(mailbox)
            await mailbox.select()
        self._seen_alive = self.context.clock.monotonic()
        return known

    async def _collect(self, mailbox: Mailbox) -> None:
        """Take in all mail above the cursor."""
        uids = await mailbox.uids_after(await self._cursor(mailbox))
        for start in range(0, len(uids), _BATCH):
            await self._collect_batch(mailbox, uids[start : start + _BATCH])
        self._too_large = await mailbox.count_larger(self.config.max_bytes)

    async def _collect_batch(self, mailbox: Mailbox, uids: Sequence[int]) -> None:
        """Store, then mark, then move the cursor: never in another order."""
        sizes = await mailbox.sizes(uids)
        small = [uid for uid in uids if sizes.get(uid, 0) <= self.config.max_bytes]
        large = [uid for uid in uids if uid not in small]
        done = [uid for uid in small if await self._store(mailbox, uid, sizes)]
        if done:
            await mailbox.mark_done(done)
        if large:
            await mailbox.flag(large)
            self.context.log.warning(
                "mail_too_large", channel=self.id, count=len(large)
            )
        state = {"uid_validity": mailbox.uid_validity, "uid": uids[-1]}
        await self.context.state.put(self._cursor_key, state)

    async def _store(self, mailbox: Mailbox, uid: int, sizes: dict[int, int]) -> bool:
        """Store one mail; False if it is gone from the server."""
        raw = await mailbox.fetch(uid, sizes.get(uid, 0))
        if raw is None:
            return False
        external_id = f"{self._place}:{mailbox.uid_validity}:{uid}"
        item = Item(external_id=external_id, sender=sender_of(raw))
        await self.context.inbox.accept(self.id, raw, [item])
        return True

    @property
    def _place(self) -> str:
        """Name what a UIDVALIDITY is of: elsewhere the same numbers mean others."""
        return f"{self.config.username}/{self.config.folder}"

    @property
    def _cursor_key(self) -> str:
        return f"imap:{self.id}:{self._place}"

    async def _cursor(self, mailbox: Mailbox) -> int:
        """Return the last UID that is done; 0 if the server has renumbered."""
        state = await self.context.state.get(self._cursor_key)
        if state is None:
            return 0
        if state["uid_validity"] != mailbox.uid_validity:
            self.context.log.warning("mailbox_renumbered", channel=self.id)
            return 0
        return int(state["uid"])
