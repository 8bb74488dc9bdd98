"""How the simulated Cloud API fails, when a test or a demo asks for it."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


class GraphError(Exception):
    """An error as the Graph API tells it: code, details, HTTP status."""

    def __init__(  # noqa: PLR0913 (an error of Meta's has that many parts)
        self,
        code: int,
        details: str,
        *,
        status: int = 400,
        subcode: int | None = None,
        retry_after: int | None = None,
        beside: dict[str, Any] | None = None,
    ) -> None:
        """Keep what goes into the answer; ``retry_after`` is in seconds.

        ``beside`` stands next to the error: what was done all the same.
        """
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status
        self.subcode = subcode
        self.retry_after = retry_after
        self.beside = beside or {}

    def body(self) -> dict[str, Any]:
        """Return the answer's body in Meta's shape."""
        error = {
            "message": f"(#{self.code}) {self.details}",
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": "AsImulatedTraceId000000",
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        return {**self.beside, "error": error}


class Answer(enum.Enum):
    """How an attempt ends."""

    SILENCE = "no answer until the client gives up"
    DROP = "the connection breaks"
    ERROR = "an error in Meta's shape"
    PLAIN = "an error page of a server in between"
    EXPIRED = "an address that has expired"
    CUT = "the file breaks off"
    SLOW = "the file comes slowly"
    OTHER = "other bytes than promised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the next request; ``accepted``: the message goes out anyway.

    `expired` is for ``media``; `cut`, `slow` and `other_bytes` are for ``download``;
    the others are for every stage.
    """

    answer: Answer
    accepted: bool = False
    code: int | None = None
    status: int = 500
    retry_after: int | None = None
    after: int = 0
    seconds: float = 0.0

    @classmethod
    def timeout(cls, *, accepted: bool = False) -> Fault:
        """Never answer, before or after the message is accepted."""
        return cls(answer=Answer.SILENCE, accepted=accepted)

    @classmethod
    def dropped(cls, *, accepted: bool = False) -> Fault:
        """Break the connection, before or after the message is accepted."""
        return cls(answer=Answer.DROP, accepted=accepted)

    @classmethod
    def error(
        cls, code: int, *, status: int = 400, retry_after: int | None = None
    ) -> Fault:
        """Answer with one of Meta's codes."""
        return cls(
            answer=Answer.ERROR, code=code, status=status, retry_after=retry_after
        )

    @classmethod
    def http(
        cls, status: int, *, accepted: bool = False, retry_after: int | None = None
    ) -> Fault:
        """Answer with a bare HTTP status, as a server in between does."""
        return cls(
            answer=Answer.PLAIN,
            accepted=accepted,
            status=status,
            retry_after=retry_after,
        )

    @classmethod
    def expired(cls) -> Fault:
        """Give out an address that is no longer good."""
        return cls(answer=Answer.EXPIRED)

    @classmethod
    def cut(cls, after: int) -> Fault:
        """Break a file off after so many bytes."""
        return cls(answer=Answer.CUT, after=after)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Send each half of a file only after so many seconds."""
        return cls(answer=Answer.SLOW, seconds=seconds)

    @classmethod
    def other_bytes(cls) -> Fault:
        """Send a file that has another digest."""
        return cls(answer=Answer.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """How the statuses of the next message come.

    ``order``: which, None as the simulator's own; ``seconds``: so late; ``times``: each
    so often; ``early``: before the send is answered; ``lost``: how many attempts of
    each get lost on their way; ``code``: why it has failed, for ``failed``.
    """

    order: tuple[str, ...] | None = None
    seconds: float = 0.0
    times: int = 1
    early: bool = False
    lost: int = 0
    code: int | None = None


@dataclass(slots=True)
class Faults:
    """What will happen to the next requests, one each, by stage."""

    send: deque[Fault] = field(default_factory=deque)
    """``POST …/messages``."""
    media: deque[Fault] = field(default_factory=deque)
    """``GET /{media-id}``: where a file is."""
    download: deque[Fault] = field(default_factory=deque)
    """``GET`` of the address: the file itself."""
    upload: deque[Fault] = field(default_factory=deque)
    """``POST …/media``."""
    block: deque[Fault] = field(default_factory=deque)
    """``POST`` and ``DELETE …/block_users``."""
    account: deque[Fault] = field(default_factory=deque)
    """``GET`` of the number, its subscriptions and its templates."""
    status: deque[Statuses] = field(default_factory=deque)
    """The statuses of a message taken."""

    def append(self, fault: Fault) -> None:
        """Let a send fail."""
        self.send.append(fault)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Let sends fail, in this order."""
        self.send.extend(faults)
