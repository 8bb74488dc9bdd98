"""Whatever a plugin does on whatever hook, its fault stays its own."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.errors import PluginError
from gateway.host import PluginHost, Timeouts
from gateway.host.guard import FAILURES, PAUSE_SECONDS
from gateway.model import (
    Action,
    Address,
    Assignment,
    Contact,
    Event,
    Health,
    HealthStatus,
    Span,
    Verdict,
)
from gateway.plugin import NoConfig, Plugin, hookimpl

EVENT = Event(action="message.received", subject="m1", actor="gateway")
SECRET = "Maria Rossi, via Dante 4"


async def raises():
    raise ValueError(SECRET)


async def raises_base_exception():
    class Panic(BaseException):
        pass

    raise Panic(SECRET)


async def leaks_cancellation():
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


async def hangs():
    await asyncio.Event().wait()


async def returns_nonsense():
    return {"personal": SECRET}


FAULTS = {
    raises: "raised ValueError",
    raises_base_exception: "raised Panic",
    leaks_cancellation: "raised CancelledError",
    hangs: "no answer within 0.05 s",
    returns_nonsense: "nonsense",
}
PARAMETER = {
    "startup": None,
    "shutdown": None,
    "check_health": None,
    "enrich_message": "message",
    "identify_contact": "message",
    "moderate_message": "message",
    "route_message": "message",
    "observe_event": "event",
}


def faulty(implement, hook, fault):
    """Return a plugin that does ``fault`` whenever ``hook`` is called."""

    async def alone(self, context):
        return await fault()

    async def message(self, context, message):
        return await fault()

    async def event(self, context, event):
        return await fault()

    functions = {None: alone, "message": message, "event": event}
    return implement(hook, functions[PARAMETER[hook]])


async def ask(host, hook, message):
    """Call the host's method of ``hook``."""
    methods = {
        "startup": host.startup,
        "shutdown": host.shutdown,
        "check_health": host.check_health,
        "enrich_message": lambda: host.enrich(message),
        "identify_contact": lambda: host.identify(message),
        "moderate_message": lambda: host.moderate(message),
        "route_message": lambda: host.route(message),
        "observe_event": lambda: host.observe(EVENT),
    }
    try:
        return await methods[hook]()
    except PluginError as error:
        return str(error)


def expected(hook, message, reason):
    """Return what the stream must get when ``hook`` of plugin ``bad`` fails."""
    held = Verdict(
        action=Action.HOLD,
        rule="moderation-unavailable",
        reason="Il controllo automatico «bad» non è disponibile:"
        " il messaggio attende la verifica di un operatore.",
        source="bad",
    )
    down = Health(status=HealthStatus.DOWN, text=f"check_health: {reason}")
    return {
        "startup": f"plugin bad: startup failed: {reason}",
        "shutdown": None,
        "check_health": {"bad": down},
        "enrich_message": (message, ("enrich-failed:bad",)),
        "identify_contact": None,
        "moderate_message": (held,),
        "route_message": None,
        "observe_event": None,
    }[hook]


@pytest.mark.parametrize("hook", PARAMETER)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_fault(enable, implement, message, hook, fault):
    """The stream goes on as the hook's specification says; the log holds no texts."""
    host = enable(bad=faulty(implement, hook, fault))
    with capture_logs() as logs:
        answer = await ask(host, hook, message)
        await host.shutdown()

    failures = [log for log in logs if log["event"] == "plugin_failed"]
    assert failures
    assert (failures[0]["plugin"], failures[0]["hook"]) == ("bad", hook)
    reason = failures[0]["reason"]
    assert reason.startswith(FAULTS[fault])
    assert answer == expected(hook, message, reason)
    assert SECRET not in str(logs)


@pytest.mark.parametrize(
    "hook", ["enrich_message", "identify_contact", "moderate_message", "route_message"]
)
async def test_breaker(enable, implement, clock, message, hook):
    """After repeated failures a hook is left alone, its answer is the same at once."""
    calls = []

    async def fails():
        calls.append(hook)
        raise ValueError

    host = enable(bad=faulty(implement, hook, fails))
    answers = [await ask(host, hook, message) for _ in range(FAILURES + 3)]
    assert all(answer == expected(hook, message, "") for answer in answers)
    assert len(calls) == FAILURES

    health = (await host.check_health())["bad"]
    assert health.status is HealthStatus.DEGRADED
    assert health.text == f"{hook}: left alone after repeated failures"

    clock.seconds += PAUSE_SECONDS
    await ask(host, hook, message)
    assert len(calls) == FAILURES + 1


async def test_breakers_are_apart(enable, implement, answering, message):
    """One hook's open breaker touches neither other plugins nor other hooks."""
    other = answering("moderate_message", None)
    host = enable(bad=faulty(implement, "enrich_message", raises), good=other)
    for _ in range(FAILURES + 1):
        await host.enrich(message)
        await host.moderate(message)

    assert len(other.seen) == FAILURES + 1
    assert (await host.check_health())["good"].status is HealthStatus.OK


class Ill(Plugin[NoConfig]):
    """Fails, and says itself that it is down."""

    @hookimpl
    async def route_message(self) -> None:
        raise ValueError

    @hookimpl
    async def check_health(self) -> Health:
        return Health(status=HealthStatus.DOWN, text="no list")


async def test_own_word_of_health_stays(enable, message):
    """A plugin that is down by its own word is not better for an open breaker."""
    host = enable(ill=Ill())
    for _ in range(FAILURES):
        await host.route(message)

    health = (await host.check_health())["ill"]
    assert health.status is HealthStatus.DOWN
    assert health.text == "no list; route_message: left alone after repeated failures"


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"channel": "other"},
        {"external_id": "other"},
        {"sender": None},
        {"text": None},
        {"flags": ["list"]},
        {"attachments": ("not an attachment",)},
    ],
    ids=str,
)
async def test_enrich_nonsense(enable, answering, message, change):
    """An enriched message keeps its identity, and each field its type."""
    changed = replace(message, **change)
    host = enable(bad=answering("enrich_message", changed))

    assert await host.enrich(message) == (message, ("enrich-failed:bad",))


VERDICT = Verdict(action=Action.FLAG, rule="r", reason="perché", source="s")


@pytest.mark.parametrize(
    "nonsense",
    [
        True,
        [VERDICT],
        replace(VERDICT, action=2),
        replace(VERDICT, action="HOLD"),
        replace(VERDICT, reason=None),
        replace(VERDICT, score="high"),
        replace(VERDICT, evidence=[Span(start=0, end=1)]),
        replace(VERDICT, evidence=(Span(start=0, end=999),)),
        replace(VERDICT, evidence=(Span(start=-1, end=2),)),
        replace(VERDICT, evidence=(Span(start=3, end=2),)),
    ],
    ids=str,
)
async def test_moderate_nonsense(enable, answering, message, nonsense):
    """A verdict that is none, or points outside of the text, is HOLD."""
    host = enable(bad=answering("moderate_message", nonsense))

    assert await host.moderate(message) == expected("moderate_message", message, "")


ASSIGNMENT = Assignment(service="strade", reason="r", source="s")


@pytest.mark.parametrize(
    "nonsense",
    [
        "strade",
        replace(ASSIGNMENT, service=None),
        replace(ASSIGNMENT, confidence=1.5),
        replace(ASSIGNMENT, confidence=float("nan")),
        replace(ASSIGNMENT, confidence=None),
    ],
    ids=str,
)
async def test_route_nonsense(enable, answering, message, nonsense):
    """An assignment that is none leaves the message to the next plugin."""
    host = enable(
        bad=answering("route_message", nonsense),
        good=answering("route_message", ASSIGNMENT),
    )

    assert await host.route(message) == ASSIGNMENT


@pytest.mark.parametrize(
    "nonsense",
    [
        Contact(id=7),
        Contact(id=""),
        Contact(id="c\x00"),
        Contact(id="c", name="\x00"),
        Contact(id="c", addresses=(Address("tel", "\x00"),)),
    ],
    ids=str,
)
async def test_identify_nonsense(enable, answering, message, nonsense):
    """A contact with a wrong field, or one that no database takes, is none."""
    host = enable(bad=answering("identify_contact", nonsense))

    assert await host.identify(message) is None


@pytest.mark.parametrize("moderators", [1, 2])
async def test_cancelled(implement, context, message, moderators):
    """A worker that is cancelled while it asks a plugin is cancelled, not held."""
    asked = asyncio.Event()

    async def moderate(self, message):
        asked.set()
        await asyncio.Event().wait()

    host = PluginHost(Timeouts(moderate=60))
    names = [f"slow{number}" for number in range(moderators)]
    for name in names:
        host.register(name, implement("moderate_message", moderate))
    host.bind(dict.fromkeys(names, context))
    task = asyncio.create_task(host.moderate(message))
    await asked.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_exit_comes_through(enable, implement, message, error):
    """The operator's interrupt is nobody's fault and stops the gateway."""

    async def leaves(self, message):
        raise error

    host = enable(bad=implement("route_message", leaves))
    coroutine = host.route(message)

    with pytest.raises(error):
        coroutine.send(None)
