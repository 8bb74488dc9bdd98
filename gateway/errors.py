"""Every error the gateway raises, drawn as one tree.

GatewayError
├── ConfigError            the configuration is wrong; carries every problem
├── PayloadError           foreign data is not as its vendor promised
│   └── Unreadable         correctly delivered, but no plugin can read it
├── PluginError            a plugin broke its contract or failed to load
│   └── UnknownPlugin      no plugin of that name is installed
├── CannotListen           the web edge's address is taken, or not ours
├── StoreError
│   ├── SchemaMismatch     the database belongs to another version
│   ├── StoreFull          no room left: nothing was accepted
│   ├── StoreUnavailable   the database can't be reached
│   └── StaleClaim         this worker no longer holds the job
├── Overloaded             no room now; nothing is wrong with the work itself
├── AttachmentError        an attachment can't be had; says whether a retry helps
├── DeliveryError          a send failed; carries code, retryable, unknown
├── CaseError              what staff ask can't be done to this case
├── ContactError           what staff ask can't be done to this contact
└── NotFound               an id that names nothing
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


class GatewayError(Exception):
    """Base of all errors raised on purpose by the gateway."""

    def __reduce__(self) -> tuple[Callable[..., GatewayError], tuple[Any, ...]]:
        """Cross to another process as it is: constructors take more than a text."""
        return _revive, (type(self), self.args, self.__dict__)


def _revive(
    kind: type[GatewayError], args: tuple[Any, ...], state: dict[str, Any]
) -> GatewayError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a configuration file, told so that it can be mended."""

    file: str
    line: int | None
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        """Print as ``file:line: key: found …; allowed: …``."""
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{place}: {self.key}: found {self.found}; allowed: {self.allowed}"


class ConfigError(GatewayError):
    """The configuration can't be used; ``problems`` lists all that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep every problem; the text lists one a line."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class PayloadError(GatewayError):
    """Foreign data is missing something or holds the wrong type.

    The text names path and types, never the value found: that may be personal.
    ``code`` says to staff and monitoring why an item is among the dead letters.
    """

    code = "unreadable"

    def __init__(self, path: str, complaint: str) -> None:
        """Say where (``entry[0].from``) and what (``missing``)."""
        super().__init__(f"{path or 'payload'}: {complaint}")
        self.path = path
        self.complaint = complaint


class Unreadable(PayloadError):
    """An authentic original that no plugin can read: kept and shown to staff."""

    def __init__(
        self, path: str, complaint: str, *, code: str = PayloadError.code
    ) -> None:
        """Say where and what; a ``code`` of its own tells why reading failed."""
        super().__init__(path, complaint)
        self.code = code


class PluginError(GatewayError):
    """A plugin failed to load or broke its contract."""


class UnknownPlugin(PluginError):
    """No plugin of that name is installed; ``installed`` lists those that are."""

    def __init__(self, name: str, installed: tuple[str, ...]) -> None:
        """Name what was looked for and what is there."""
        super().__init__(
            f"plugin {name} is not installed;"
            f" installed: {', '.join(installed) or 'none'}."
            " A single file is named path/to/file.py:ClassName"
        )
        self.name = name
        self.installed = installed


class CannotListen(GatewayError):
    """The web edge can't have its address; the text names it and the keys."""


class StoreError(GatewayError):
    """The database refused."""


class SchemaMismatch(StoreError):
    """The database was written by another version of the gateway."""


class StoreFull(StoreError):
    """There is no room; nothing of the unit was stored."""


class StoreUnavailable(StoreError):
    """The database can't be reached; whether a commit took place is unknown."""


class StaleClaim(StoreError):
    """Another worker holds the job now: abandon the work, record nothing."""


class CaseError(GatewayError):
    """What staff ask can't be done to this case; the text says why, and what can."""


class ContactError(GatewayError):
    """What staff ask can't be done to this contact; the text says why."""


class NotFound(GatewayError):
    """An id that names nothing."""


class Overloaded(GatewayError):
    """There was no room for it in time; it is tried again and loses no life."""


class AttachmentError(GatewayError):
    """An attachment can't be had."""

    def __init__(
        self, code: str, text: str, *, retryable: bool, retry_after: float | None = None
    ) -> None:
        """Keep the stable ``code``; ``retry_after`` is in seconds."""
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.retryable = retryable
        self.retry_after = retry_after


class DeliveryError(GatewayError):
    """A send failed.

    ``retryable``: trying again may help. ``unknown``: the other side may have
    taken it all the same (time-out after sending, crash between send and record).
    ``account``: the fault is in our account or configuration, not in this message,
    so the target's circuit breaker counts it. ``retry_after`` is in seconds;
    ``too_fast`` says for whom it holds beside this message: for this ``recipient``, or
    for all of the ``target``. ``external_id`` is the id by which those may refer to the
    delivery who have it all the same.
    """

    def __init__(  # noqa: PLR0913 (an error as data: each field is one decision)
        self,
        code: str,
        text: str,
        *,
        retryable: bool,
        unknown: bool = False,
        account: bool = False,
        retry_after: float | None = None,
        too_fast: Literal["", "recipient", "target"] = "",
        external_id: str = "",
    ) -> None:
        """Keep the decision as data; it is made once, where the fault is seen."""
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.retryable = retryable
        self.unknown = unknown
        self.account = account
        self.retry_after = retry_after
        self.too_fast = too_fast
        self.external_id = external_id
