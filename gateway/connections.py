"""Why no connection came about, in words for whoever runs the gateway."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator

_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})

_Words = str | Callable[[BaseException], str]


def explain(error: BaseException) -> str:
    """Say what is wrong and what to look at; the error's type if that is not known."""
    for each in _behind(error):
        for kind, words in _WORDS:
            if isinstance(each, kind):
                return words if isinstance(words, str) else words(each)
        if isinstance(each, OSError) and each.errno in _NO_WAY:
            return "there is no way to it from here: check the network and the firewall"
    return type(error).__name__


def _certificate(error: BaseException) -> str:
    reason = getattr(error, "verify_message", "") or "not trusted"
    return f"its certificate won't do ({reason}): check host, cafile and the clock"


_WORDS: tuple[tuple[type[BaseException], _Words], ...] = (
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLError, "it does not speak TLS as we do: check port and security"),
    (socket.gaierror, "its name is not known: check host and this machine's DNS"),
    (ConnectionRefusedError, "nothing listens there: check host and port"),
    (ConnectionResetError, "it hangs up: check port and security"),
    (TimeoutError, "no answer in time: check host and port, and the firewall"),
)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yield what lies behind an error, innermost first: libraries wrap them."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        inner = getattr(current, "os_error", None) or current.__cause__
        current = inner if isinstance(inner, BaseException) else current.__context__
    yield from reversed(seen)
