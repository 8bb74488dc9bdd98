"""Mails that a server does not hand out: they must not stop those behind them.

A server may refuse such a mail or, as Dovecot does, hang up in the middle. What can't
be had with others is asked for alone, and what can't be had alone is passed over. It
stays in the folder, flagged, and is asked for again once a day and after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gateway.clock import Clock
from gateway_email.imap import Mailbox, MailboxError

_PATIENCE = 3
"""Failures after which mails are asked for one by one, or one is passed over."""

_PAUSE_SECONDS = 24 * 3600.0


class Refusals:
    """What one folder's server does not hand out; the rest is fetched through it."""

    def __init__(self, clock: Clock) -> None:
        """Know of none yet."""
        self.uids: set[int] = set()
        """The mails that were passed over."""
        self._clock = clock
        self._asked: dict[int, float] = {}
        self._together: Counter[int] = Counter()
        self._alone: Counter[int] = Counter()

    async def fetch(
        self, mailbox: Mailbox, uids: Sequence[int], octets: int
    ) -> dict[int, bytes]:
        """Return the raw mails, but those passed over (see `Mailbox.fetch`).

        Raises:
            MailboxError: it failed; come again on a new connection.

        """
        if not uids:
            return {}
        if self._together[uids[0]] < _PATIENCE:
            try:
                return await mailbox.fetch(uids, octets)
            except MailboxError:
                self._together[uids[0]] += 1
                raise
        mails: dict[int, bytes] = {}
        for uid in uids:
            if self._alone[uid] >= _PATIENCE:
                self.uids.add(uid)
                continue
            try:
                mails |= await mailbox.fetch([uid], octets)
            except MailboxError:
                self._alone[uid] += 1
                raise
        return mails

    def due(self) -> list[int]:
        """Return those that have not been asked for within a day."""
        late = self._clock.monotonic() - _PAUSE_SECONDS
        return sorted(uid for uid in self.uids if self._asked.get(uid, late) <= late)

    async def fetch_again(
        self, mailbox: Mailbox, uid: int, octets: int
    ) -> dict[int, bytes]:
        """Ask for one that was passed over; nothing, if it is gone.

        Raises:
            MailboxError: it still can't be had.

        """
        self._asked[uid] = self._clock.monotonic()
        mails = await mailbox.fetch([uid], octets)
        self.uids.discard(uid)
        return mails
