"""A host, a message and a context, as small as they can be."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import structlog

from gateway.host import PluginHost, Timeouts
from gateway.model import Address, ChannelId, Message, MessageId
from gateway.plugin import Context, NoConfig, Plugin, hookimpl
from gateway.testing.kit import MemoryCases, MemoryFiles

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that a test moves."""

    seconds: float = 1000.0

    def now(self):
        return NOW

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    """The time, ours to move."""
    return Clock()


@pytest.fixture
def message():
    """A citizen's message."""
    return Message(
        id=MessageId("m1"),
        channel=ChannelId("urp"),
        external_id="wamid.1",
        sender=Address("whatsapp", "1"),
        sent_at=NOW,
        received_at=NOW,
        text="C'è una buca in via Dante",
    )


@pytest.fixture
def context(clock):
    """A context whose parts nobody uses."""
    return Context(
        config=NoConfig(),
        http=None,
        inbox=None,
        files=MemoryFiles(),
        cases=MemoryCases(),
        state=None,
        clock=clock,
        log=structlog.get_logger(),
    )


@pytest.fixture
def host(clock):
    """A host without plugins, impatient."""
    quick = dict.fromkeys(Timeouts.__dataclass_fields__, 0.05)
    return PluginHost(Timeouts(**quick), clock)


@pytest.fixture
def enable(host, context):
    """Register and bind plugins, each given by its name."""

    def enable(**plugins):
        for name, plugin in plugins.items():
            host.register(name, plugin)
        host.bind(dict.fromkeys(plugins, context))
        return host

    return enable


def implement(hook, function, **options):
    """Return a plugin that implements ``hook`` by ``function``."""

    class Made(Plugin[NoConfig]):
        pass

    marked = hookimpl(specname=hook, **options)(function)
    setattr(Made, hook, marked)
    return Made()


@pytest.fixture(name="implement")
def _implement():
    return implement


@pytest.fixture
def answering():
    """Make plugins whose hook gives a fixed answer and that note what they see."""

    def answering(hook, answer, **options):
        seen = []

        async def function(self, context, message):
            seen.append(message)
            return answer

        plugin = implement(hook, function, **options)
        plugin.seen = seen
        return plugin

    return answering
