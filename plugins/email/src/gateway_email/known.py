"""Which mails of a folder we know, by their content: what outlives a renumbering.

Of each mail we keep a keyed digest of its bytes, the id under which it was accepted,
and where it lies now. When the server numbers a folder anew (RFC 3501 §2.3.1.1), a mail
with the digest of a known one gets that one's id again, and the inbox has it already.
The digest tells nothing once the mail is erased: its key is not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.plugin import PluginState

_PURPOSE = b"mail in a folder\0"
_DIGEST_OCTETS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """One life of a folder's numbers.

    ``label`` has never named another life of this folder. Mails below ``resync_below``
    were there when we first saw it, so they may be ones we know from before.
    """

    uid_validity: int
    label: str
    resync_below: int = 0

    def place(self, uid: int) -> str:
        """Return where the mail ``uid`` lies."""
        return f"{self.label}:{uid}"

    def holds(self, place: str) -> bool:
        """Tell whether ``place`` is of this life."""
        return place.rpartition(":")[0] == self.label


class KnownMails:
    """The mails of one folder that were taken in, or are about to be."""

    def __init__(self, state: PluginState, prefix: str, key: bytes) -> None:
        """Keep them in ``state`` below ``prefix``; ``key`` makes the digests."""
        self._state = state
        self._prefix = prefix
        self._keyed = hmac.new(key, _PURPOSE, hashlib.sha256)

    async def name(
        self, mails: Mapping[int, bytes], numbering: Numbering
    ) -> dict[int, str]:
        """Return the place under whose name each mail was, or is to be, accepted.

        Durable on return, so that the same mail gets the same name again whatever
        happens next. One to one: of two equal mails, of which one is known, the other
        is new.
        """
        keys = {uid: self._digest(raw) for uid, raw in mails.items()}
        known = await self._state.get_many(set(keys.values()))
        before = {key: dict(places) for key, places in known.items()}
        names = {
            uid: _claim(known.setdefault(key, {}), uid, numbering)
            for uid, key in keys.items()
        }
        changed = {key: known[key] for key in known if known[key] != before.get(key)}
        if changed:
            await self._state.put_many(changed)
        return names

    def _digest(self, raw: bytes) -> str:
        digest = self._keyed.copy()
        digest.update(raw)
        return self._prefix + digest.digest()[:_DIGEST_OCTETS].hex()


def _claim(lies_at: dict[str, str], uid: int, numbering: Numbering) -> str:
    """Find the name of a mail among those of its content, or add it as a new one.

    ``lies_at``: the name of each mail with this content → where it lies now.
    """
    here = numbering.place(uid)
    for name, place in lies_at.items():
        if place == here:
            return name
    if uid < numbering.resync_below:
        for name, place in lies_at.items():
            if not numbering.holds(place):
                lies_at[name] = here
                return name
    lies_at[here] = here
    return here
