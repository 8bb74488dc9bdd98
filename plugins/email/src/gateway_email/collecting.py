"""Takes in the mail of one folder: stored, then marked, then the cursor moves on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from gateway.failpoints import hit
from gateway.model import ChannelId, Item
from gateway.plugin import Context
from gateway_email.config import EmailChannelConfig, EmailSettings
from gateway_email.imap import Mailbox
from gateway_email.known import KnownMails, Numbering
from gateway_email.senders import sender_at_once

_T = TypeVar("_T")

_BATCH = 1000
"""Mails that are fetched, stored and marked together, at most."""

_SMALL = 16 * 1024
"""Octets up to which a mail's size need not be known: that of all counts alike."""

_BATCH_OCTETS = 16 * 1024 * 1024
"""So many octets are fetched together at most, or one mail; twice that is in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Mails that follow each other; the ``large`` ones are not fetched."""

    uids: Sequence[int]
    small: Sequence[int]
    large: Sequence[int]
    octets: int


@dataclass(frozen=True, slots=True)
class _Fetched:
    batch: _Batch
    mails: Mapping[int, bytes]


class Collector:
    """Collects from one folder; remembers how far it came, whatever happens."""

    def __init__(
        self,
        channel_id: ChannelId,
        config: EmailChannelConfig,
        context: Context[EmailSettings],
        folder: str,
    ) -> None:
        """Collect from ``folder`` of the channel's mailbox."""
        self.too_large = 0
        self._channel = channel_id
        self._max_bytes = config.max_bytes
        self._context = context
        # Elsewhere the same numbers mean other mails.
        self._place = f"{config.username}/{folder}"
        self._cursor_key = f"imap:{channel_id}:{self._place}"
        self._known = KnownMails(
            context.state,
            f"imap-mail:{channel_id}:{self._place}:",
            context.config.key.get_secret_value().encode(),
        )

    async def collect(self, mailbox: Mailbox) -> None:
        """Take in all mail above the cursor; ``mailbox`` has just been selected.

        While one batch is being stored the next one is fetched.

        Raises:
            MailboxError, StoreError: it stopped; nothing is lost, begin again.

        """
        numbering, cursor = await self._position(mailbox)
        waiting: _Fetched | None = None
        async for batch in self._batches(mailbox, await mailbox.uids_after(cursor)):
            fetching = mailbox.fetch(batch.small, batch.octets)
            mails = await _both(fetching, self._store(waiting, numbering))
            hit("email.after_fetch")
            await self._finish(mailbox, waiting, numbering)
            waiting = _Fetched(batch, mails)
        await self._store(waiting, numbering)
        await self._finish(mailbox, waiting, numbering)

    async def count_too_large(self, mailbox: Mailbox) -> None:
        """Ask the server how many mails it holds that we will not take."""
        self.too_large = await mailbox.count_larger(self._max_bytes)

    async def _batches(
        self, mailbox: Mailbox, uids: Sequence[int]
    ) -> AsyncIterator[_Batch]:
        for start in range(0, len(uids), _BATCH):
            some = uids[start : start + _BATCH]
            small = min(_SMALL, self._max_bytes)
            larger = await mailbox.larger_than(small, some)
            sizes = dict.fromkeys(some, small) | await mailbox.sizes(larger)
            for batch in _split(some, sizes, self._max_bytes):
                yield batch

    async def _store(self, fetched: _Fetched | None, numbering: Numbering) -> None:
        """Store what was fetched, under names that a renumbering does not change."""
        if fetched is None or not fetched.mails:
            return
        names = await self._known.name(fetched.mails, numbering)
        results = await asyncio.gather(
            *(self._accept(names[uid], raw) for uid, raw in fetched.mails.items()),
            return_exceptions=True,
        )
        _raise_first(results)
        hit("email.after_store")

    async def _accept(self, name: str, raw: bytes) -> None:
        item = Item(external_id=f"{self._place}:{name}", sender=sender_at_once(raw))
        await self._context.inbox.accept(self._channel, raw, [item])

    async def _finish(
        self, mailbox: Mailbox, fetched: _Fetched | None, numbering: Numbering
    ) -> None:
        """Mark what is stored, then move the cursor: never in another order."""
        if fetched is None:
            return
        batch = fetched.batch
        if fetched.mails:
            await mailbox.mark_done(list(fetched.mails))
            hit("email.after_mark")
        if batch.large:
            await mailbox.flag(batch.large)
            count = len(batch.large)
            log = self._context.log
            log.warning("mail_too_large", channel=self._channel, count=count)
        await self._put_cursor(numbering, batch.uids[-1])
        hit("email.after_cursor")

    async def _position(self, mailbox: Mailbox) -> tuple[Numbering, int]:
        """Return the numbering and the last UID that is done.

        A UIDNEXT at or below that UID means new numbers, too: a folder that was made
        again under the same UIDVALIDITY, which RFC 3501 §2.3.1.1 forbids.
        """
        uid_validity, uid_next = mailbox.position
        stored = await self._context.state.get(self._cursor_key)
        if stored is None:
            return Numbering(uid_validity=uid_validity, label=str(uid_validity)), 0
        label = stored.get("label", str(stored["uid_validity"]))
        if uid_validity == stored["uid_validity"] and uid_next > stored["uid"]:
            below = stored.get("resync_below", 0)
            numbering = Numbering(
                uid_validity=uid_validity, label=label, resync_below=below
            )
            return numbering, int(stored["uid"])
        self._context.log.warning("mailbox_renumbered", channel=self._channel)
        numbering = Numbering(
            uid_validity=uid_validity,
            label=f"{uid_validity}.{_life(label) + 1}",
            resync_below=uid_next,
        )
        # At once: what arrives from now on is new, whenever we come to read it.
        await self._put_cursor(numbering, 0)
        return numbering, 0

    async def _put_cursor(self, numbering: Numbering, uid: int) -> None:
        state: dict[str, Any] = {
            "uid_validity": numbering.uid_validity,
            "label": numbering.label,
            "resync_below": numbering.resync_below,
            "uid": uid,
        }
        await self._context.state.put(self._cursor_key, state)


def _life(label: str) -> int:
    """Return the number of the life that ``label`` names; the first has none."""
    return int(label.partition(".")[2] or 0)


def _split(
    uids: Sequence[int], sizes: Mapping[int, int], max_bytes: int
) -> Iterator[_Batch]:
    """Cut ``uids`` into batches that fit the limits; a large mail may be alone."""
    start, octets = 0, 0
    for end, uid in enumerate(uids):
        size = _weight(sizes.get(uid, 0), max_bytes)
        if end > start and octets + size > _BATCH_OCTETS:
            yield _batch(uids[start:end], sizes, max_bytes)
            start, octets = end, 0
        octets += size
    if start < len(uids):
        yield _batch(uids[start:], sizes, max_bytes)


def _batch(uids: Sequence[int], sizes: Mapping[int, int], max_bytes: int) -> _Batch:
    small = [uid for uid in uids if sizes.get(uid, 0) <= max_bytes]
    return _Batch(
        uids=uids,
        small=small,
        large=[uid for uid in uids if uid not in small],
        octets=sum(sizes.get(uid, 0) for uid in small),
    )


def _weight(size: int, max_bytes: int) -> int:
    return size if size <= max_bytes else 0


async def _both(first: Awaitable[_T], second: Awaitable[object]) -> _T:
    """Wait for both; return what the first did, or raise what one of them raised."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    _raise_first(results[::-1])
    return cast("_T", results[0])


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result
