"""Configuration of the connectors, and of the channel by which services answer.

The core has replaced ``{ env = "NAME" }`` by a `SecretStr` before validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.plugin import Section

_Seconds = Annotated[float, Field(gt=0, le=24 * 3600)]


class MaildropConfig(Section):
    """``{ type = "maildrop", path = "/srv/strade" }``."""

    path: Path
    """Folder where the office finds its messages; it must exist."""

    answers: bool = False
    """Whether the office may answer by files in the folder ``answers`` there."""


class ServicesConfig(Section):
    """``[channels.<id>] type = "services"``: services' systems answer here."""

    poll_seconds: _Seconds = 60
    """How often folders with answers are looked into."""
