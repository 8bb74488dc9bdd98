"""What the gateway would hand to a connector."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway import failpoints
from gateway.model import (
    Address,
    Case,
    CaseId,
    CaseStatus,
    ChannelId,
    DeliveryId,
    Enclosure,
    Handover,
    Location,
    Message,
    MessageId,
    ServiceId,
)
from gateway.plugin import Context
from gateway.testing.kit import make_context

sys.path.append(str(Path(__file__).parent))  # for the helpers beside the tests

DELIVERY = DeliveryId("0198f2a4-7c1e-7b3a-9d55-0123456789ab")
MOMENT = datetime(2026, 3, 29, 20, 4, 5, tzinfo=UTC)


@pytest.fixture
def message() -> Callable[..., Message]:
    """Make a citizen's message."""

    def make(**changes: Any) -> Message:
        values: dict[str, Any] = {
            "id": MessageId("0198f2a4-0000-7000-8000-000000000001"),
            "channel": ChannelId("whatsapp"),
            "external_id": "wamid.1",
            "sender": Address("whatsapp", "393290000000"),
            "sender_name": "Maria Deiana",
            "sent_at": MOMENT,
            "received_at": MOMENT,
            "text": "C'è una buca in via Roma, davanti al civico 12: è pericolosa.",
            "location": Location(latitude=39.2153, longitude=9.1107, name="via Roma"),
        }
        return Message(**{**values, **changes})

    return make


@pytest.fixture
def handover(message: Callable[..., Message]) -> Callable[..., Handover]:
    """Make a delivery to the office for roads."""

    def make(*, text: str | None = None, **changes: Any) -> Handover:
        case = Case(
            id=CaseId("0198f2a4-0000-7000-8000-000000000002"),
            number="URP-2026-000123",
            service=ServiceId("strade"),
            status=CaseStatus.ASSIGNED,
            opened_at=MOMENT,
        )
        values: dict[str, Any] = {
            "delivery_id": DELIVERY,
            "attempt": 1,
            "created_at": MOMENT,
            "service": ServiceId("strade"),
            "service_name": "Ufficio Strade",
            "case": case,
            "message": message() if text is None else message(text=text),
        }
        return Handover(**{**values, **changes})

    return make


@pytest.fixture
def enclosure(tmp_path: Path) -> Callable[..., Enclosure]:
    """Make a stored file."""

    def make(name: str = "buca.jpg", content: bytes = b"abc", **more: Any) -> Enclosure:
        path = tmp_path / f"stored-{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return Enclosure(
            name=name,
            media_type="image/jpeg",
            size=len(content),
            sha256=path.name,
            path=path,
            **more,
        )

    return make


@pytest.fixture
async def context() -> AsyncIterator[Context[Any]]:
    """Make a context of doubles, with a real HTTP client."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield make_context(http)


@pytest.fixture
def armed() -> Any:
    """Let points fail; disarm them afterwards."""
    yield failpoints.arm
    failpoints.disarm()
