"""Logs hold ids and no personal data, decided by type."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import sys
import threading
import warnings
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.errors import DeliveryError
from gateway.log import configure
from gateway.model import (
    Action,
    Address,
    Case,
    CaseId,
    CaseStatus,
    ChannelId,
    Contact,
    ContactId,
    DeliveryId,
    Handover,
    Inbound,
    InboxId,
    ItemKind,
    Message,
    MessageId,
    Original,
    Outgoing,
    ServiceId,
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
ORIGINAL = Original(
    id="o-1", channel=ChannelId("c"), body=WORDS.encode(), headers={}, received_at=AT
)
CASE = Case(
    id=CaseId("k-1"),
    number="URP-1",
    service=ServiceId("s"),
    status=CaseStatus.ASSIGNED,
    opened_at=AT,
)
PERSONAL = {
    "address": ADDRESS,
    "message": MESSAGE,
    "contact": Contact(id=ContactId("k-1"), name=WORDS, addresses=(ADDRESS,)),
    "original": ORIGINAL,
    "inbound": Inbound(
        id=InboxId("i-1"),
        channel=ChannelId("c"),
        external_id="x",
        kind=ItemKind.MESSAGE,
        part="",
        sender=NUMBER,
        original=ORIGINAL,
    ),
    "handover": Handover(
        delivery_id=DeliveryId("d-1"),
        attempt=1,
        created_at=AT,
        service=ServiceId("s"),
        service_name="Strade",
        case=CASE,
        message=MESSAGE,
    ),
    "error": ValueError(WORDS),
    "outgoing": Outgoing(
        delivery_id=DeliveryId("d-1"), attempt=1, created_at=AT, to=ADDRESS, text=WORDS
    ),
    "bytes": WORDS.encode(),
    "secret": SecretStr(SECRET),
    "unknown": type("Odd", (), {"__repr__": lambda self: WORDS})(),
    "class": type(WORDS, (), {"__repr__": lambda self: WORDS}),
    "enum": Enum("Odd", {"MEMBER": ADDRESS}).MEMBER,
}


@pytest.fixture
def stream():
    """A log of its own; the configuration before is put back."""
    with configured(io.StringIO(), "json") as written:
        yield written


@contextlib.contextmanager
def configured(stream, form, lowest="info"):
    """Log to ``stream`` for a while."""
    before = structlog.get_config()
    root, access = logging.getLogger(), logging.getLogger("aiohttp.access")
    handlers, level = root.handlers, root.level
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    show = warnings.showwarning
    configure(lowest, form, stream)
    yield stream
    structlog.configure(**before)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    warnings.showwarning = show
    root.handlers, access.disabled = handlers, False
    root.setLevel(level)


def assert_clean(stream: io.StringIO) -> dict:
    """Return the last line, after looking for every canary in all of them."""
    text = stream.getvalue()
    for canary in (NUMBER, WORDS, SECRET):
        assert canary not in text
    return json.loads(text.splitlines()[-1])


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL)
def test_personal_values_never_come_out(stream, value):
    """Alone, in a list, in a dict, deep down: a placeholder stands for it."""
    log = structlog.get_logger().bind(bound=value)

    with structlog.contextvars.bound_contextvars(context=value):
        log.info("seen", value=value, several=[value], named={"a": {"b": (value,)}})

    assert "seen" == assert_clean(stream)["event"]


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL)
def test_personal_values_are_no_keys_and_no_arguments(stream, value):
    """As a key, or put into the text of the event, the placeholder stands too."""
    log = structlog.get_logger()

    with contextlib.suppress(TypeError):  # what can't be hashed can't be a key
        log.info("seen", named={value: 1}, some={value})
    log.error("seen %s", value)
    log.log(logging.INFO, "seen %s %r", value, value)

    assert assert_clean(stream)["event"].startswith("seen ")


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL)
def test_console_is_as_careful(value):
    """Lines for people hide what lines for programs hide."""
    with configured(io.StringIO(), "console") as stream:
        structlog.get_logger().info("seen", value=value)

    assert "seen" in stream.getvalue()
    for canary in (NUMBER, WORDS, SECRET):
        assert canary not in stream.getvalue()


NO_LINES = {"bind", "new", "unbind", "try_unbind"}
NO_LINES |= {"get_effective_level", "is_enabled_for"}
METHODS = [
    name
    for name in dir(structlog.make_filtering_bound_logger(logging.DEBUG))
    if not name.startswith("_") and name not in NO_LINES
]


@pytest.mark.parametrize("name", METHODS)
async def test_each_method_of_a_logger_is_as_careful(name):
    """Whatever structlog calls it, asynchronous or an alias, it redacts."""
    level = [logging.ERROR] if name in {"log", "alog"} else []

    with configured(io.StringIO(), "json", "debug") as stream:
        method = getattr(structlog.get_logger(), name)
        made = method(*level, "seen %s", ADDRESS, value=MESSAGE)
        if name.startswith("a"):
            await made

    assert "seen whatsapp:***" == assert_clean(stream)["event"]


def test_uncaught_exception_is_told_without_its_text(stream):
    """What ends the daemon is a line of the log, and no traceback with texts."""
    sys.excepthook(ValueError, ValueError(WORDS), None)

    line = assert_clean(stream)
    assert ("critical", "ValueError") == (line["level"], line["error_type"])


def test_interrupt_is_left_to_python(stream, capsys):
    """Control-C is no failure."""
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert "" == stream.getvalue()
    assert "KeyboardInterrupt" in capsys.readouterr().err


def test_failed_thread_is_told_without_its_text(stream, capsys):
    """An exception that ends a thread says its type and place."""

    def fail():
        raise ValueError(WORDS)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    assert "ValueError" == assert_clean(stream)["error_type"]
    assert "" == capsys.readouterr().err


def test_thread_that_ends_itself_is_no_news(stream):
    """`SystemExit` in a thread ends it in order."""
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()

    assert "" == stream.getvalue()


def test_exception_in_a_finaliser_is_told_without_its_text(stream, capsys):
    """What Python can't raise is logged by type."""

    class Odd:
        def __del__(self):
            raise ValueError(WORDS)

    Odd()

    assert "ValueError" == assert_clean(stream)["error_type"]
    assert "" == capsys.readouterr().err


def test_warning_is_told_without_its_text(stream, capsys):
    """A library's warning says its category and place."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(WORDS, stacklevel=1)

    line = assert_clean(stream)
    assert "UserWarning" == line["category"]
    assert line["at"].startswith("tests/test_log.py:")
    assert "" == capsys.readouterr().err


def test_placeholders_name_the_thing(stream):
    """Staff find the message by its id; of an address they see the kind."""
    structlog.get_logger().info(
        "seen", sender=ADDRESS, message=MESSAGE, to=PERSONAL["outgoing"]
    )

    line = assert_clean(stream)
    assert "whatsapp:***" == line["sender"]
    assert "message m-1" == line["message"]
    assert "delivery d-1" == line["to"]


@given(
    value=st.recursive(
        st.none()
        | st.integers()
        | st.floats()
        | st.text(st.characters(codec=None, exclude_categories=())),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers(), inner),
        max_leaves=5,
    )
)
def test_whatever_is_logged_makes_one_line_of_json(value):
    """Huge integers, half characters, depth: logging never fails its caller."""
    with configured(io.StringIO(), "json") as stream:
        structlog.get_logger().info("seen", value=value)

    assert "seen" == json.loads(stream.getvalue())["event"]
    assert 1 == stream.getvalue().count("\n")


def test_console_shows_control_characters_as_what_they_are():
    """No stranger's text forges a line or steers the terminal."""
    with configured(io.StringIO(), "console") as stream:
        structlog.get_logger().info("seen", name="a\n2026 [error] b\x1b[2J")

    assert 1 == stream.getvalue().count("\n")
    assert "\x1b" not in stream.getvalue()


def test_full_disk_stops_no_caller():
    """What can't be written is lost; who logs goes on."""

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    with configured(Full(), "json") as stream:
        structlog.get_logger().error("seen")
        logging.getLogger("some.package").error("seen")

    assert "" == stream.getvalue()


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
    assert line["error_at"][-1].startswith("tests/test_log.py:")


def test_our_own_errors_say_what_they_have_to_say(stream):
    """The texts of our errors hold no data, so they are shown."""
    error = DeliveryError("busy", "try later", retryable=True)

    structlog.get_logger().error("failed", exc_info=error)

    assert "busy: try later" == assert_clean(stream)["error_text"]


def test_causes_are_told_without_their_texts(stream):
    """What an exception comes from, and what a group holds, is told by type."""

    def fail():
        try:
            raise KeyError(NUMBER)
        except KeyError as error:
            message = WORDS
            raise ValueError(message) from error

    try:
        try:
            fail()
        except ValueError as error:
            busy = DeliveryError("busy", "try later", retryable=True)
            raise ExceptionGroup(WORDS, [error, busy]) from None
    except ExceptionGroup:
        structlog.get_logger().exception("failed")

    causes = [
        cause.partition(" at ")[0] for cause in assert_clean(stream)["error_causes"]
    ]
    assert ["ValueError", "DeliveryError: busy: try later", "KeyError"] == causes


def test_exception_outside_of_a_handler_is_no_trouble(stream):
    """`log.exception` where nothing was raised logs the event alone."""
    structlog.get_logger().exception("failed")

    assert {"time", "level", "event"} == set(assert_clean(stream))


def test_error_as_a_value_shows_its_text_only_if_it_is_ours(stream):
    """``error=error`` is safe to write."""
    ours = DeliveryError("busy", "try later", retryable=True)
    structlog.get_logger().info("failed", ours=ours, other=OSError(WORDS))

    line = assert_clean(stream)
    assert "DeliveryError: busy: try later" == line["ours"]
    assert "OSError" == line["other"]


def test_access_log_is_off(stream):
    """Paths and addresses of callers are not logged."""
    logging.getLogger("aiohttp.access").error("GET /%s", NUMBER)

    assert "" == stream.getvalue()


@pytest.mark.parametrize(
    ("number", "name"),
    [(45, "error"), (30, "warning"), (70, "critical"), (99999, "critical")],
)
def test_levels_of_libraries_are_brought_to_ours(stream, number, name):
    """A level that only a library knows becomes the one below it."""
    logging.getLogger("some.package").log(number, "odd")

    assert name == assert_clean(stream)["level"]


def test_libraries_are_heard_without_their_texts(stream):
    """A library's log line is forwarded by name and place."""
    try:
        raise ValueError(NUMBER)
    except ValueError:
        logging.getLogger("some.package").exception("got %s", WORDS, stack_info=True)

    line = assert_clean(stream)
    assert "some.package" == line["library"]
    assert "ValueError" == line["error_type"]


def test_bound_ids_are_on_each_line(stream):
    """What is bound to the context appears without being passed on."""
    with structlog.contextvars.bound_contextvars(message="m-1"):
        structlog.get_logger().info("seen")

    assert "m-1" == assert_clean(stream)["message"]


def test_levels_below_the_configured_one_are_silent(stream):
    """Nothing in normal running is above info, and debug is off."""
    structlog.get_logger().debug("seen")

    assert "" == stream.getvalue()
