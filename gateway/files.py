"""The files of messages, for plugins that look into them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from gateway import blocks, inbox
from gateway.attachments import AttachmentStore
from gateway.channel import Channel
from gateway.errors import AttachmentError
from gateway.fetch import fetch_one
from gateway.model import Attachment, AttachmentState, ChannelId, Inbound, Message
from gateway.store import Store


class StoredFiles:
    """The attachments of one gateway (`gateway.plugin.Files`)."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[ChannelId, Channel[Any]],
        attachments: AttachmentStore,
    ) -> None:
        """Fetch by ``channels`` into ``attachments``."""
        self._store = store
        self._channels = channels
        self._attachments = attachments

    async def fetch(self, message: Message, attachment: Attachment) -> Attachment:
        """Return the attachment with its bytes stored, fetched now if need be.

        Raises:
            AttachmentError: it can't be had, now or ever; nothing is fetched of people
                whose address is a blocked one.

        """
        if attachment.state is AttachmentState.STORED:
            return attachment
        channel = self._channels.get(message.channel)
        if channel is None:
            text = f"channel {message.channel} is not configured"
            raise AttachmentError("no_channel", text, retryable=False)
        item = await self._store.read(lambda c: _load(c, message))
        return await fetch_one(
            channel.fetch, self._attachments, item.original, attachment
        )

    def path(self, attachment: Attachment) -> Path:
        """Return where the bytes of a stored attachment are.

        Raises:
            AttachmentError: they are not stored.

        """
        if attachment.sha256 is None:
            raise AttachmentError("not_stored", "fetch it first", retryable=True)
        return self._attachments.path(attachment.sha256)


def _load(connection: Connection, message: Message) -> Inbound:
    uris = {str(each) for each in (message.sender, *message.aliases)}
    if blocks.since_at(connection, uris):
        text = "its sender is blocked"
        raise AttachmentError(blocks.NOTE, text, retryable=False)
    (item,) = inbox.load(connection, [message.id])
    return item
