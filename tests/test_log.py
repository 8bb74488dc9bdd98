"""Logs hold ids and no personal data, decided by type."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from gateway.errors import DeliveryError
from gateway.log import configure
from gateway.model import (
    Action,
    Address,
    ChannelId,
    Contact,
    ContactId,
    DeliveryId,
    Message,
    MessageId,
    Original,
    Outgoing,
)

NUMBER = "393331234567"
WORDS = "il mio vicino disturba"
SECRET = "token-that-must-not-show"
AT = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = Address("whatsapp", NUMBER)
MESSAGE = Message(
    id=MessageId("m-1"),
    channel=ChannelId("c"),
    external_id="x",
    sender=ADDRESS,
    sent_at=AT,
    received_at=AT,
    text=WORDS,
)
PERSONAL = {
    "address": ADDRESS,
    "message": MESSAGE,
    "contact": Contact(id=ContactId("k-1"), name=WORDS, addresses=(ADDRESS,)),
    "original": Original(
        id="o-1",
        channel=ChannelId("c"),
        body=WORDS.encode(),
        headers={},
        received_at=AT,
    ),
    "outgoing": Outgoing(
        delivery_id=DeliveryId("d-1"), attempt=1, created_at=AT, to=ADDRESS, text=WORDS
    ),
    "bytes": WORDS.encode(),
    "secret": SecretStr(SECRET),
    "unknown": type("Odd", (), {"__repr__": lambda self: WORDS})(),
}


@pytest.fixture
def stream():
    """A log of its own; the configuration before is put back."""
    before = structlog.get_config()
    handlers = logging.getLogger().handlers
    written = io.StringIO()
    configure("info", "json", written)
    yield written
    structlog.configure(**before)
    logging.getLogger().handlers = handlers


def assert_clean(stream: io.StringIO) -> dict:
    """Return the last line, after looking for every canary in all of them."""
    text = stream.getvalue()
    for canary in (NUMBER, WORDS, SECRET):
        assert canary not in text
    return json.loads(text.splitlines()[-1])


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL)
def test_personal_values_never_come_out(stream, value):
    """Alone, in a list, in a dict, deep down: a placeholder stands for it."""
    log = structlog.get_logger()

    log.info("seen", value=value, several=[value], named={"a": {"b": (value,)}})

    assert "seen" == assert_clean(stream)["event"]


def test_plain_values_come_out(stream):
    """Ids, numbers, enums, times and paths are what a log is for."""
    structlog.get_logger().info(
        "seen", id="m-1", n=3, ok=True, action=Action.HOLD, at=AT, path=Path("/x")
    )

    line = assert_clean(stream)
    expected = {"id": "m-1", "n": 3, "ok": True, "action": 2, "path": "/x"}
    assert expected == {key: line[key] for key in expected}
    assert "m-1" == line["id"]


def test_exception_is_told_without_its_text_and_locals(stream):
    """Whatever an exception says may quote a citizen: type and place are enough."""
    words = WORDS
    try:
        raise ValueError(words)
    except ValueError:
        structlog.get_logger().exception("failed")

    line = assert_clean(stream)
    assert "ValueError" == line["error_type"]
    assert line["error_at"][-1].startswith("test_log.py:")


def test_our_own_errors_say_what_they_have_to_say(stream):
    """The texts of our errors hold no data, so they are shown."""
    error = DeliveryError("busy", "try later", retryable=True)

    structlog.get_logger().error("failed", exc_info=error)

    assert "busy: try later" == assert_clean(stream)["error_text"]


def test_libraries_are_heard_without_their_texts(stream):
    """A library's log line is forwarded by name and place."""
    logging.getLogger("some.library").error("got %s", WORDS)

    assert "some.library" == assert_clean(stream)["library"]


def test_bound_ids_are_on_each_line(stream):
    """What is bound to the context appears without being passed on."""
    with structlog.contextvars.bound_contextvars(message="m-1"):
        structlog.get_logger().info("seen")

    assert "m-1" == assert_clean(stream)["message"]


def test_levels_below_the_configured_one_are_silent(stream):
    """Nothing in normal running is above info, and debug is off."""
    structlog.get_logger().debug("seen")

    assert "" == stream.getvalue()
