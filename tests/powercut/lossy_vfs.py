"""A virtual file system for SQLite (through APSW) over the disk that forgets.

Source: sqlite.org/vfs.html. It has no shared memory, so a WAL database needs
``locking_mode=EXCLUSIVE`` here.
"""

from __future__ import annotations

import apsw
from lossy_disk import Disk, File, Truncation, Write

NAME = "lossy"


class LossyVfs(apsw.VFS):
    """Opens files on ``disk``, which a trial replaces by its own."""

    def __init__(self) -> None:
        self.disk = Disk()
        super().__init__(NAME, "")

    def xOpen(self, name, flags):  # noqa: N802 (SQLite's name)
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        _require_power(self.disk)
        if flags[0] & apsw.SQLITE_OPEN_CREATE:
            self.disk.create(path)
        elif path not in self.disk.files:
            raise apsw.CantOpenError(path)
        flags[1] = flags[0]
        return LossyFile(self.disk, self.disk.files[path])

    def xDelete(self, name, sync):  # noqa: N802
        if not self.disk.count():
            raise apsw.IOError("no power")
        self.disk.remove(name, sync=sync)

    def xAccess(self, name, flags):  # noqa: N802
        return name in self.disk.files

    def xFullPathname(self, name):  # noqa: N802
        return name

    def xRandomness(self, count):  # noqa: N802
        """Give the same salt each time, so that a seed replays."""
        return bytes(count)

    def xSleep(self, microseconds):  # noqa: N802
        return microseconds

    def xCurrentTime(self):  # noqa: N802
        return 2_461_368.0

    def xGetLastError(self):  # noqa: N802
        return (0, "")


class LossyFile:
    """One open file."""

    def __init__(self, disk: Disk, file: File) -> None:
        self._disk = disk
        self._file = file

    def xRead(self, amount, offset):  # noqa: N802
        _require_power(self._disk)
        return bytes(self._file.live[offset : offset + amount])

    def xWrite(self, data, offset):  # noqa: N802
        self._change(Write(offset, bytes(data)))

    def xTruncate(self, size):  # noqa: N802
        self._change(Truncation(size))

    def _change(self, piece):
        """Change the file; a piece in the works at the cut is lost or not."""
        _require_power(self._disk)
        powered = self._disk.count()
        self._file.change(piece)
        if not powered:
            raise apsw.IOError("no power")

    def xSync(self, flags):  # noqa: N802
        _require_power(self._disk)
        if not self._disk.count():
            raise apsw.IOError("no power")
        self._file.sync()

    def xFileSize(self):  # noqa: N802
        return len(self._file.live)

    def xClose(self):  # noqa: N802
        pass

    def xLock(self, level):  # noqa: N802
        pass

    def xUnlock(self, level):  # noqa: N802
        pass

    def xCheckReservedLock(self):  # noqa: N802
        return False

    def xFileControl(self, operation, pointer):  # noqa: N802
        return False

    def xSectorSize(self):  # noqa: N802
        """Return what SQLite's own VFS for Unix returns."""
        return 4096

    def xDeviceCharacteristics(self):  # noqa: N802
        """Claim what SQLite's own VFS for Unix claims by default."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


def _require_power(disk: Disk) -> None:
    if not disk.powered:
        raise apsw.IOError("no power")
