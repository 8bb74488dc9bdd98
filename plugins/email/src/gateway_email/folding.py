"""How our mail's header is written: seven bits, and no space of a subject lost."""

from __future__ import annotations

from email.header import Header
from email.policy import EmailPolicy
from typing import Any


class _Policy(EmailPolicy):
    """Folds subjects by `email.header.Header`.

    The library's own way drops the space between two encoded words when a line ends
    there, as RFC 2047 §6.2 has readers do: "Perché è già" came as "Perché ègià". And it
    puts one before a subject that begins on the second line.
    """

    def fold(self, name: str, value: Any) -> str:
        """Return a field as lines."""
        text = str(value)
        if name.lower() != "subject":
            lines: str = super().fold(name, value)
            return lines
        is_plain = text.isascii() and "=?" not in text
        encoded = Header(text, "us-ascii" if is_plain else "utf-8", header_name=name)
        return f"{name}: {encoded.encode(linesep=self.linesep)}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        """Return a field as lines of octets."""
        if name.lower() != "subject":
            octets: bytes = super().fold_binary(name, value)
            return octets
        return self.fold(name, value).encode("ascii")


# Seven bits pass every server, also one without 8BITMIME.
POLICY = _Policy(linesep="\r\n", cte_type="7bit")
