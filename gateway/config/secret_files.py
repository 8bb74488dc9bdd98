"""Secrets in files: what may be read, and values that follow their file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from gateway.config.document import KeyPath

CONTAINER_SECRETS = Path("/run/secrets")
"""Where Docker and Podman mount secrets, with mode 0444 unless told otherwise.

Source: docs.docker.com/reference/compose-file/services (secrets), podman-run(1).
"""

_LONGEST_SECRET = 64 * 1024

_Seen = tuple[int, ...]


class UnusableFile(ValueError):
    """A file that holds no secret we may use: why, and what would do."""

    def __init__(self, found: str, allowed: str) -> None:
        """Say what is wrong with it; never quote it."""
        super().__init__(found, allowed)
        self.found = found
        self.allowed = allowed


def read_secret(file: Path, name: str = "") -> str:
    """Return a private file's text without the newline at its end.

    ``name`` is how the configuration calls it.

    Raises:
        UnusableFile: it can't be read, is empty, or everybody may read it.

    """
    try:
        content, mode = _read(file)
    except (OSError, ValueError) as error:
        # Never the error's text: one of decoding would quote the secret.
        raise UnusableFile(f" ({reason(error)})", "a readable text file") from None
    if mode & stat.S_IROTH and not _is_of_container(file):
        allowed = f"a private file: chmod 600 {name or file}"
        raise UnusableFile(", which everybody may read", allowed)
    if not content.strip():
        raise UnusableFile(", which is empty", "a secret")
    return content


def _read(file: Path) -> tuple[str, int]:
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    with file.open("rb") as stream:
        content = stream.read(_LONGEST_SECRET + 1)
    if len(content) > _LONGEST_SECRET:
        raise OSError(errno.EFBIG, "File too large")
    return content.decode().removesuffix("\n").removesuffix("\r"), mode


def _is_of_container(file: Path) -> bool:
    """Tell whether only the container sees a file, whatever its mode."""
    return file.resolve().is_relative_to(CONTAINER_SECRETS)


def reason(error: OSError | ValueError) -> str:
    """Say in a few words why a file can't be read."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return "no UTF-8" if isinstance(error, UnicodeError) else "not a file name"


class FileSecret(SecretStr):
    """A secret whose value is always the one in its file.

    Each use looks whether the file is another one by now. As long as what it holds
    won't do, the last good value stays, and the log says so once.
    """

    def __init__(self, value: str, file: Path, accept: Callable[[str], object]) -> None:
        """Start with ``value``; ``accept`` raises `ValidationError` for a wrong one."""
        super().__init__(value)
        self._file = file
        self._accept = accept
        self._seen: _Seen | None = None
        self._is_good = True

    def get_secret_value(self) -> str:
        """Return what the file holds now, or the last good value."""
        # Before reading: what is written meanwhile is then seen the next time.
        seen = _look(self._file)
        if seen != self._seen:
            self._seen = seen
            self._reload()
        return self._secret_value

    def __len__(self) -> int:
        """Return the length of the value."""
        return len(self.get_secret_value())

    def _reload(self) -> None:
        try:
            value = read_secret(self._file)
            if value != self._secret_value:
                self._accept(value)
        except UnusableFile as error:
            self._complain(f"a file{error.found}")
        except ValidationError:
            # Never the error's text: it would quote the secret.
            self._complain("a secret that won't do")
        else:
            self._take(value)

    def _take(self, value: str) -> None:
        if value != self._secret_value or not self._is_good:
            structlog.get_logger().info("secret_reloaded", file=self._file)
        self._secret_value, self._is_good = value, True

    def _complain(self, found: str) -> None:
        if self._is_good:
            structlog.get_logger().error(
                "secret_unusable", file=self._file, found=found, kept="the last one"
            )
        self._is_good = False


def _look(file: Path) -> _Seen | None:
    """Return by what a file can be told from its predecessor; links are followed."""
    try:
        found = os.stat(file)  # noqa: PTH116 (half the time of Path.stat, at each use)
    except (OSError, ValueError):
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)


def with_value(values: Any, path: KeyPath, make: Callable[[Any], Any]) -> Any:
    """Return ``values`` with what ``make`` makes of the value at ``path``.

    A path that leads nowhere changes nothing: a validator has put something else there.
    """
    if not path:
        return make(values)
    step, rest = path[0], path[1:]
    match values:
        case BaseModel() if isinstance(step, str) and step in type(values).model_fields:
            made = with_value(getattr(values, step), rest, make)
            return values.model_copy(update={step: made})
        case Mapping() if step in values:
            return {**values, step: with_value(values[step], rest, make)}
        case list() | tuple() if isinstance(step, int) and step < len(values):
            made = with_value(values[step], rest, make)
            return type(values)([*values[:step], made, *values[step + 1 :]])
    return values
