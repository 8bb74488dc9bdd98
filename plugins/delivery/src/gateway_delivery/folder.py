"""Folders that appear whole, once for each id, whoever takes them away afterwards.

A folder is written under ``.gateway/``, flushed to the disk, staged under its id by one
rename, marked as handed over, and moved into sight by another rename. The mark stays:
after a crash, or when the reader has taken the folder, a repetition changes nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.failpoints import hit

HIDDEN: Final = ".gateway"
_MARK_DAYS: Final = 400
"""How long a mark is kept: longer than any delivery can be attempted."""
_THERE: Final = {errno.ENOTEMPTY, errno.EEXIST}

Contents = Mapping[str, bytes | Path]
"""What a folder holds: each name with its bytes, or the file to copy."""


def put(root: Path, key: str, name: str, contents: Contents) -> bool:
    """Let the folder ``name`` appear in ``root``, once for each ``key``.

    Returns False if that has happened before.

    Raises:
        OSError: it can't be written; nothing is to be seen of it.

    """
    hidden = root / HIDDEN
    hidden.mkdir(exist_ok=True)
    staged, mark = hidden / key, hidden / f"{key}.done"
    if mark.exists():
        return _show(staged, root / name)
    if not staged.exists():
        _stage(staged, mark, contents)
    hit("maildrop.before_mark")
    mark.touch()
    _flush(hidden)
    hit("maildrop.before_show")
    shown = _show(staged, root / name)
    hit("maildrop.after_show")
    return shown


def sweep(root: Path) -> None:
    """Forget marks that nobody will ask for again, and what a crash left behind."""
    now, hidden = time.time(), root / HIDDEN
    if not hidden.is_dir():
        return
    for each in hidden.iterdir():
        age = (now - each.lstat().st_mtime) / 86400
        if each.suffix == ".done" and age > _MARK_DAYS:
            each.unlink(missing_ok=True)
        elif each.suffix == ".part" and age > 1:
            shutil.rmtree(each, ignore_errors=True)


def try_write(root: Path) -> None:
    """Write, flush and remove a file where nobody looks.

    Raises:
        OSError: that can't be done.

    """
    hidden = root / HIDDEN
    hidden.mkdir(exist_ok=True)
    file = hidden / f"{uuid.uuid4()}.probe"
    try:
        _write(file, b"")
    finally:
        file.unlink(missing_ok=True)


def _stage(staged: Path, mark: Path, contents: Contents) -> None:
    hidden = staged.parent
    part = hidden / f"{uuid.uuid4()}.part"
    try:
        part.mkdir()
        for name, content in contents.items():
            _write(part / name, content)
        _flush(part)
        hit("maildrop.before_stage")
        # Another node may have been quicker while this one wrote.
        if not mark.exists():
            _rename(part, staged)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _flush(hidden)


def _show(staged: Path, shown: Path) -> bool:
    """Move a staged folder into sight; False if it is not (or no longer) staged."""
    try:
        _rename(staged, shown)
    except FileNotFoundError:
        return False
    _flush(shown.parent)
    return True


def _rename(source: Path, target: Path) -> None:
    """Rename a folder; where there is one already, that one stays."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in _THERE:
            raise
        shutil.rmtree(source, ignore_errors=True)


def _write(file: Path, content: bytes | Path) -> None:
    with file.open("xb") as written:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, written, 1024 * 1024)
        else:
            written.write(content)
        written.flush()
        os.fsync(written.fileno())


def _flush(folder: Path) -> None:
    """Flush the names in a folder; shares may not know how (EINVAL)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
