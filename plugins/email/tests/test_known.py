"""What becomes of the names of known mails when a folder is numbered anew."""

from __future__ import annotations

import asyncio

from gateway_email.known import KnownMails, Numbering
from hypothesis import given
from hypothesis import strategies as st

from gateway.testing.kit import MemoryState

KEY = b"0123456789abcdef"


class Folder:
    """A folder of a server that renumbers, and what we have taken from it."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.known = KnownMails(self.state, "mail:", KEY)
        self.mails: list[bytes] = []
        self.life = 0
        self.names: list[set[str]] = []
        """For each mail the names under which it was offered to the inbox."""
        self._below = 0

    def arrive(self, raw: bytes) -> None:
        self.mails.append(raw)
        self.names.append(set())

    def renumber(self) -> None:
        self.life += 1
        self._below = len(self.mails) + 1

    async def collect(self, count: int, batch: int) -> None:
        """Name the first ``count`` mails, as a run does that is killed then."""
        numbering = Numbering(
            uid_validity=1, label=f"1.{self.life}", resync_below=self._below
        )
        for start in range(0, count, batch):
            chosen = range(start, min(start + batch, count))
            mails = {at + 1: self.mails[at] for at in chosen}
            named = await self.known.name(mails, numbering)
            for uid, name in named.items():
                self.names[uid - 1].add(name)


step = st.one_of(
    st.sampled_from([b"a", b"b", b"c"]),
    st.just("renumber"),
    st.tuples(st.integers(0, 8), st.integers(1, 4)),
)


@given(st.lists(step, max_size=30))
def test_each_mail_is_offered_under_one_name_of_its_own(steps: list[object]) -> None:
    """Equal ones too, whatever is renumbered or interrupted when."""
    folder = Folder()

    async def play() -> None:
        for each in steps:
            if isinstance(each, bytes):
                folder.arrive(each)
            elif isinstance(each, tuple):
                await folder.collect(min(each[0], len(folder.mails)), each[1])
            else:
                await folder.collect(len(folder.mails), 3)
                folder.renumber()
        await folder.collect(len(folder.mails), 3)

    asyncio.run(play())
    # Equal mails may swap their names, for they are equal.
    for raw in set(folder.mails):
        alike = [
            names
            for mail, names in zip(folder.mails, folder.names, strict=True)
            if mail == raw
        ]
        assert len(alike) == len(set().union(*alike))


async def test_an_equal_mail_that_comes_later_is_another() -> None:
    """Only what was there when the numbers changed can be one we know."""
    folder = Folder()
    folder.arrive(b"a")
    await folder.collect(1, 1)
    folder.renumber()
    folder.mails[0] = b"moved away"
    folder.arrive(b"a")
    await folder.collect(2, 2)

    assert not folder.names[1] & folder.names[0]


async def test_digests_say_nothing_without_the_key() -> None:
    """With another key the same mails have nothing in common."""
    ours, theirs = MemoryState(), MemoryState()
    numbering = Numbering(uid_validity=1, label="1")
    for state, key in ((ours, KEY), (theirs, KEY[::-1])):
        await KnownMails(state, "", key).name({1: b"a"}, numbering)

    assert not ours.values.keys() & theirs.values.keys()
