"""Lets the tests here use the provider beside them, and makes PEC channels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from gateway_email import EmailSettings, PecChannel, PecChannelConfig

from gateway.model import (
    ChannelId,
    Inbound,
    InboxId,
    ItemKind,
    Message,
    Original,
    Receipt,
)
from gateway.plugin import Context

sys.path.append(str(Path(__file__).parent))
FIXTURES = Path(__file__).parents[1] / "fixtures" / "pec"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files of the corpus, and the moment at which they came."""

    folder: Path = FIXTURES
    received_at: datetime = field(
        default=datetime.fromisoformat(
            (FIXTURES / "received_at.txt").read_text().strip()
        )
    )

    def item(self, name: str) -> Inbound:
        """Return a file as it is stored."""
        return self.wrap((self.folder / f"{name}.eml").read_bytes())

    def wrap(self, raw: bytes) -> Inbound:
        """Return a mail as it is stored."""
        original = Original(
            id="0198f2a4-0000-7000-8000-000000000003",
            channel=ChannelId("pec"),
            body=raw,
            headers={},
            received_at=self.received_at,
        )
        return Inbound(
            id=InboxId("0198f2a4-0000-7000-8000-000000000004"),
            channel=original.channel,
            external_id="pec/INBOX:1:1",
            kind=ItemKind.MESSAGE,
            part="",
            sender="",
            original=original,
        )

    def later(self, name: str, at: datetime) -> Inbound:
        """Return a file as if it had come at another time."""
        item = self.item(name)
        return replace(item, original=replace(item.original, received_at=at))


@pytest.fixture
def corpus() -> Corpus:
    """The corpus."""
    return Corpus()


Read = Callable[[Inbound], Message | Receipt]


@pytest.fixture
def pec_channel(
    context: Callable[..., Context[EmailSettings]],
) -> Callable[..., PecChannel]:
    """Make the channel of urp@pec.comune.test."""

    def make(**changes: Any) -> PecChannel:
        values = {
            "host": "127.0.0.1",
            "security": "none",
            "username": "urp",
            "password": "segreta",
            "address": "urp@pec.comune.test",
            "aliases": ["protocollo@pec.comune.test"],
            "smtp": {"host": "127.0.0.1", "port": 1, "security": "none"},
            "trust": FIXTURES / "trust.pem",
            "timeout": 5.0,
        }
        config = PecChannelConfig.model_validate({**values, **changes})
        return PecChannel(ChannelId("pec"), config, context())

    return make
