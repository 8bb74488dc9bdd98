"""How the simulated Cloud API fails, when a test or a demo asks for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class GraphError(Exception):
    """An error as the Graph API tells it: code, details, HTTP status."""

    def __init__(
        self,
        code: int,
        details: str,
        *,
        status: int = 400,
        subcode: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Keep what goes into the answer; ``retry_after`` is in seconds."""
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status
        self.subcode = subcode
        self.retry_after = retry_after

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
        return {"error": error}


class Answer(enum.Enum):
    """How an attempt ends."""

    SILENCE = "no answer until the client gives up"
    DROP = "the connection breaks"
    ERROR = "an error in Meta's shape"
    PLAIN = "an error page of a server in between"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the next attempt; ``accepted``: the message goes out anyway."""

    answer: Answer
    accepted: bool = False
    code: int | None = None
    status: int = 500
    retry_after: int | None = None

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
