"""The channel: a mailbox to which citizens and offices write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from functools import cached_property
from typing import Any

from gateway.channel import Channel, Line
from gateway.errors import AttachmentError, DeliveryError, Overloaded, Unreadable
from gateway.model import (
    Address,
    Attachment,
    ChannelId,
    Enclosure,
    Health,
    Inbound,
    Message,
    Original,
    Outgoing,
    Receipt,
    Semantics,
)
from gateway.plugin import Context
from gateway_email.checking import (
    check_mailbox,
    check_reply_to,
    check_submission,
    worst,
)
from gateway_email.config import EmailChannelConfig, EmailSettings, is_address
from gateway_email.delivery import read_enclosures, send
from gateway_email.following import Follower
from gateway_email.isolation import Child, ChildError
from gateway_email.media import is_winmail
from gateway_email.oauth2 import Tokens, Wallet
from gateway_email.render import render_outgoing
from gateway_email.stationery import Stationery
from gateway_email.tasks import Ours, part_content, read_stored

_CHUNK = 64 * 1024


class EmailChannel(Channel[EmailChannelConfig]):
    """Collects mail by IMAP, each folder on its own connection; answers by SMTP."""

    semantics = Semantics.BLIND
    grace_seconds = 0.0
    """Nobody will tell later whether a mail was taken: there is nothing to wait for."""
    part_content = staticmethod(part_content)
    """Takes a file out of a stored mail."""
    accounts: Collection[str] = ()
    """The mailboxes that are read by any channel of the plugin, this one among them."""

    def __init__(
        self,
        channel_id: ChannelId,
        config: EmailChannelConfig,
        context: Context[Any],
        child: Child | None = None,
        wallet: Wallet | None = None,
    ) -> None:
        """Keep what is needed; the connection is opened by `receive`.

        ``child`` and ``wallet`` are shared by the channels of a gateway.
        """
        super().__init__(channel_id, config, context)
        self._wallet = wallet or Wallet()
        self.child = child or Child()
        self.followers = [
            Follower(channel_id, config, context, folder, self.tokens)
            for folder in config.folders
        ]

    @property
    def settings(self) -> EmailSettings:
        """Return the plugin's own section: account and addresses of the city."""
        settings: EmailSettings = self.context.config
        return settings

    @cached_property
    def sender_tokens(self) -> Tokens | None:
        """Return where tokens of the sending account come from, if it needs any."""
        return self._wallet.tokens(self.settings.oauth2, self.context)

    @cached_property
    def tokens(self) -> Tokens | None:
        """Return where tokens of the mailbox come from, if it needs any."""
        return self._wallet.tokens(self.config.oauth2, self.context)

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
        """Follow every folder; one folder's fault does not stop the others."""
        async with asyncio.TaskGroup() as group:
            for follower in self.followers:
                group.create_task(follower.run())

    def parse(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail here and now; the gateway calls `read`.

        Raises:
            PayloadError: it can't be read; it is kept and shown to staff.

        """
        return read_stored(inbound, self._ours, unpacks=True)

    async def read(self, inbound: Inbound) -> Message | Receipt:
        """Read a stored mail in a child process.

        What is packed in a ``winmail.dat`` is a second task: if that fails, the file
        stays as it is.

        Raises:
            PayloadError: it can't be read within the limits; it is kept and shown.
            Overloaded: it had no turn; it is read later.

        """
        return await self._read_by(read_stored, inbound, self._ours)

    async def _read_by(
        self, read: Callable[..., Message | Receipt], inbound: Inbound, ours: object
    ) -> Message | Receipt:
        found = await self.child.run(read, inbound, ours)
        if not _has_winmail(found):
            return found
        try:
            return await self.child.run_briefly(read, inbound, ours, unpacks=True)
        except (Unreadable, ChildError, Overloaded):
            self.context.log.warning("winmail_left_packed", item=inbound.id)
            return found

    @property
    def _ours(self) -> Ours:
        settings = self.settings
        return Ours(
            key=settings.key.get_secret_value().encode(),
            domain=settings.domain,
            addresses=(settings.sender, settings.reply_to, self.config.username),
            authserv_id=self.config.authserv_id,
            language=self.context.language,
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
            attempt=outgoing.attempt,
            settings=self.settings,
            context=self.context,
            tokens=self.sender_tokens,
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
                self.part_content, original.body, attachment.locator
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
        """Log in to both servers, look at folders and sizes; change nothing."""
        found = await asyncio.gather(
            check_mailbox(self.config, self.tokens),
            check_submission(self.settings, self.sender_tokens),
        )
        accounts = self.accounts or {self.config.username}
        return worst([*found, check_reply_to(self.settings, accounts)])

    def health(self) -> Health:
        """Say for each folder how long ago the server last answered, and what is amiss.

        The channel is as well as the worst of its folders.
        """
        return worst(follower.health() for follower in self.followers)


def _has_winmail(read: Message | Receipt) -> bool:
    """Tell whether a message has files that could be unpacked."""
    return isinstance(read, Message) and any(
        is_winmail(each.media_type, each.name) for each in read.attachments
    )
