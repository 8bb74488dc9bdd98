"""A disk in memory that forgets, at a power cut, some of what was not synced.

Every piece (write, truncation, new or removed name) that no sync has covered survives
with probability 1/2: in any order, and a write perhaps torn between two sectors.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written at an offset."""

    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        """Do it to ``content``; what is skipped over reads as zeros."""
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, chance: random.Random) -> Write:
        """Return what a cut in mid-write leaves: the sectors before or after it."""
        first = SECTOR_BYTES - self.offset % SECTOR_BYTES
        borders = range(first, len(self.data), SECTOR_BYTES)
        if not borders or chance.random() < 0.5:
            return self
        border = chance.choice(borders)
        if chance.random() < 0.5:
            return Write(self.offset, self.data[:border])
        return Write(self.offset + border, self.data[border:])


@dataclass(frozen=True, slots=True)
class Truncation:
    """The file cut down to a size."""

    size: int

    def apply(self, content: bytearray) -> None:
        """Do it to ``content``."""
        del content[self.size :]

    def torn(self, chance: random.Random) -> Truncation:
        """Return itself: a size is one number."""
        return self


@dataclass(slots=True)
class File:
    """What is read (``live``), what is safe (``synced``), and the pieces between."""

    synced: bytes = b""
    live: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncation] = field(default_factory=list)
    entry_synced: bool = False

    def change(self, piece: Write | Truncation) -> None:
        """Apply a piece, unsynced."""
        piece.apply(self.live)
        self.pending.append(piece)

    def sync(self) -> None:
        """Make all of it safe, and its name with it (as SQLite does at creation)."""
        self.synced = bytes(self.live)
        self.pending.clear()
        self.entry_synced = True

    def survivor(self, chance: random.Random) -> bytes:
        """Return the content after a power cut."""
        content = bytearray(self.synced)
        pieces = [piece for piece in self.pending if chance.random() < 0.5]
        chance.shuffle(pieces)
        for piece in pieces:
            piece.torn(chance).apply(content)
        return bytes(content)


class Disk:
    """Files by name; loses its power at operation number ``cut_at``."""

    def __init__(
        self, content: dict[str, bytes] | None = None, *, cut_at: int | None = None
    ) -> None:
        self.files = {
            name: File(data, bytearray(data), entry_synced=True)
            for name, data in (content or {}).items()
        }
        self.removed: dict[str, File] = {}
        self.operations = 0
        self.cut_at = cut_at
        self.powered = True

    def count(self) -> bool:
        """Count one changing operation; tell whether it is done before the cut."""
        self.operations += 1
        if self.operations == self.cut_at:
            self.powered = False
        return self.powered

    def create(self, name: str) -> File:
        """Make an empty file."""
        return self.files.setdefault(name, File())

    def remove(self, name: str, *, sync: bool) -> None:
        """Remove a file; without ``sync`` its name may come back."""
        file = self.files.pop(name)
        if not sync and file.entry_synced:
            self.removed[name] = file

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files that are found when the power is back."""
        found = {
            name: file.survivor(chance)
            for name, file in self.files.items()
            if file.entry_synced or chance.random() < 0.5
        }
        for name, file in self.removed.items():
            if name not in found and chance.random() < 0.5:
                found[name] = file.survivor(chance)
        return found
