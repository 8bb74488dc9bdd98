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
from gateway_email.refusals import Refusals
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
    """Mails that follow each other, the ``large`` ones not to be fetched.

    ``last`` is where the cursor stands once they are done.
    """

    last: int = 0
    small: Sequence[int] = ()
    large: Sequence[int] = ()
    octets: int = 0


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Mails of a batch that exist; their octets are let go once they are stored."""

    batch: _Batch
    mails: Mapping[int, bytes]

    def stored(self) -> _Fetched:
        """Return the same without the octets."""
        return _Fetched(self.batch, dict.fromkeys(self.mails, b""))


_NOTHING = _Fetched(_Batch(), {})


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
        self._refusals = Refusals(context.clock)
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

        While one batch is being stored the one before is marked, the next one fetched.

        Raises:
            MailboxError, StoreError: it stopped; nothing is lost, begin again.

        """
        numbering, cursor = await self._position(mailbox)
        batches = self._batches(mailbox, await mailbox.uids_after(cursor))
        fetched = stored = marked = _NOTHING
        async for batch in _and_three_turns(batches):
            mails = await _together(
                self._mark_and_fetch(mailbox, stored, batch),
                self._store(fetched, numbering),
                self._move_cursor(marked, numbering),
            )
            hit("email.after_fetch")
            fetched, stored, marked = _Fetched(batch, mails), fetched.stored(), stored
            cursor = max(cursor, batch.last)
        for uid in self._refusals.due():
            await self._ask_again(mailbox, uid, numbering, cursor)

    async def _mark_and_fetch(
        self, mailbox: Mailbox, stored: _Fetched, batch: _Batch
    ) -> dict[int, bytes]:
        """Mark one batch, then fetch another: one connection, one thing at a time."""
        await self._mark(mailbox, stored)
        return await self._refusals.fetch(mailbox, batch.small, batch.octets)

    async def _ask_again(
        self, mailbox: Mailbox, uid: int, numbering: Numbering, cursor: int
    ) -> None:
        """Take in a mail that the server did not hand out before, if it does now."""
        octets = self._max_bytes
        mails = await self._refusals.fetch_again(mailbox, uid, octets)
        batch = _Batch(last=cursor, small=[uid], large=(), octets=octets)
        fetched = _Fetched(batch, mails)
        await self._store(fetched, numbering)
        await self._mark(mailbox, fetched)
        await self._move_cursor(fetched, numbering)

    @property
    def refused(self) -> int:
        """Return how many mails the server does not hand out."""
        return len(self._refusals.uids)

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

    async def _store(self, fetched: _Fetched, numbering: Numbering) -> None:
        """Store what was fetched, under names that a renumbering does not change."""
        if not fetched.mails:
            return
        names = await self._known.name(fetched.mails, numbering)
        originals = [
            (raw, self._item(names[uid], raw)) for uid, raw in fetched.mails.items()
        ]
        await self._context.inbox.accept_each(self._channel, originals)
        hit("email.after_store")

    def _item(self, name: str, raw: bytes) -> Item:
        return Item(external_id=f"{self._place}:{name}", sender=sender_at_once(raw))

    async def _mark(self, mailbox: Mailbox, stored: _Fetched) -> None:
        """Mark what is stored: never before."""
        batch = stored.batch
        if stored.mails:
            await mailbox.mark_done(list(stored.mails))
            hit("email.after_mark")
        refused = sorted(self._refusals.uids.intersection(batch.small))
        for event, left in (("mail_too_large", batch.large), ("mail_refused", refused)):
            if left:
                await mailbox.flag(left)
                log = self._context.log
                log.warning(event, channel=self._channel, count=len(left))

    async def _move_cursor(self, marked: _Fetched, numbering: Numbering) -> None:
        """Move the cursor behind what is marked: never before."""
        if marked.batch.last:
            await self._put_cursor(numbering, marked.batch.last)
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
            self._refusals.uids = set(stored.get("refused", ()))
            numbering = Numbering(
                uid_validity=uid_validity, label=label, resync_below=below
            )
            return numbering, int(stored["uid"])
        self._context.log.warning("mailbox_renumbered", channel=self._channel)
        self._refusals = Refusals(self._context.clock)
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
            "refused": sorted(self._refusals.uids),
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
        last=uids[-1],
        small=small,
        large=[uid for uid in uids if sizes.get(uid, 0) > max_bytes],
        octets=sum(sizes.get(uid, 0) for uid in small),
    )


def _weight(size: int, max_bytes: int) -> int:
    return size if size <= max_bytes else 0


async def _and_three_turns(batches: AsyncIterator[_Batch]) -> AsyncIterator[_Batch]:
    """Let the last batch be stored and marked, and the cursor move behind it."""
    async for batch in batches:
        yield batch
    for _ in range(3):
        yield _NOTHING.batch


async def _together(first: Awaitable[_T], *others: Awaitable[object]) -> _T:
    """Wait for all; return what the first did, or raise what one of them raised."""
    results = await asyncio.gather(first, *others, return_exceptions=True)
    for result in reversed(results):
        if isinstance(result, BaseException):
            raise result
    return cast("_T", results[0])
