"""The trust list: whose signatures on envelopes and receipts are believed.

A PEM bundle, or a folder of certificates (PEM or DER). It is read at every use, so that
a renewed list needs no restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ENDINGS = frozenset({".cer", ".crt", ".der", ".pem"})
_LIMIT = 8 * 1024 * 1024
"""Octets of one file; the list of all providers has some 100 KB."""


def load(path: Path) -> list[Certificate]:
    """Read the certificates of a bundle or folder.

    Raises:
        ValueError: a file can't be read, or there is no certificate at all; the text
            names the file.

    """
    files = sorted(_files(path)) if path.is_dir() else [path]
    found = [certificate for file in files for certificate in _read(file)]
    if not found:
        raise ValueError(f"{path} holds no certificate")
    return found


def expired(certificates: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """Return those that are no longer valid at a time."""
    return [each for each in certificates if each.not_valid_after_utc < at]


def _files(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir():
        if file.suffix.lower() in _ENDINGS and file.is_file():
            yield file


def _read(file: Path) -> list[Certificate]:
    from cryptography import x509  # noqa: PLC0415 (0.1 s, only who has PEC needs it)

    try:
        if file.stat().st_size > _LIMIT:
            raise ValueError(f"{file} is larger than {_LIMIT} octets")
        octets = file.read_bytes()
        if b"-----BEGIN CERTIFICATE-----" in octets:
            return x509.load_pem_x509_certificates(octets)
        return [x509.load_der_x509_certificate(octets)]
    except OSError as error:
        raise ValueError(f"{file} can't be read ({type(error).__name__})") from None
    except ValueError as error:
        text = str(error) if str(file) in str(error) else f"{file} is no certificate"
        raise ValueError(text) from None
