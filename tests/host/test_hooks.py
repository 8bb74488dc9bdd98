"""Each hook: how the host asks and how it combines the answers."""

import asyncio
from dataclasses import replace

import pytest

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.errors import GatewayError, PluginError
from gateway.host import contract
from gateway.model import (
    Action,
    Assignment,
    Contact,
    ContactId,
    Event,
    Health,
    HealthStatus,
    ServiceId,
    Verdict,
)
from gateway.plugin import NoConfig

CHANNEL = ChannelType("whatsapp", NoConfig, object)
CONNECTOR = ConnectorType("email", NoConfig, object)


def verdict(action):
    return Verdict(action=action, rule="r", reason="perché", source="test")


def assignment(service):
    return Assignment(service=ServiceId(service), reason="parole: buca", source="test")


def registering(implement, hook, *offers):
    def register(self):
        return list(offers)

    return implement(hook, register)


def test_hook_register_channels(host, implement):
    """Channel types are collected by name, each with its owner."""
    host.register("meta", registering(implement, "register_channels", CHANNEL))
    other = ChannelType("email", NoConfig, object)
    host.register("mail", registering(implement, "register_channels", other))

    assert host.channel_types() == {"whatsapp": CHANNEL, "email": other}
    assert host.owner_of_channel("whatsapp") == "meta"
    with pytest.raises(PluginError, match="ChannelType fax; on offer: email, whatsapp"):
        host.owner_of_channel("fax")


def test_hook_register_connectors(host, implement):
    """Connector types are collected by name, each with its owner."""
    host.register("mail", registering(implement, "register_connectors", CONNECTOR))

    assert host.connector_types() == {"email": CONNECTOR}
    assert host.owner_of_connector("email") == "mail"
    with pytest.raises(PluginError, match="ConnectorType fax; on offer: email"):
        host.owner_of_connector("fax")


def test_hook_register_commands(host, implement):
    """Each plugin adds to a group of its own, when it is asked."""
    seen = []

    def register_commands(self, group):
        seen.append(group)

    host.register("routing", implement("register_commands", register_commands))
    host.register("mail", registering(implement, "register_connectors", CONNECTOR))

    assert [True, False] == [
        host.register_commands(name, f"group of {name}") for name in ("routing", "mail")
    ]
    assert ["group of routing"] == seen


def test_commands_that_fail(host, implement):
    """The error names the plugin."""

    def register_commands(self):
        raise OSError("no such thing")

    host.register("routing", implement("register_commands", register_commands))

    with pytest.raises(PluginError, match=r"routing .* commands: OSError: no such"):
        host.register_commands("routing", None)


@pytest.mark.parametrize(
    ("hook", "offer", "types"),
    [
        ("register_channels", CHANNEL, "channel_types"),
        ("register_connectors", CONNECTOR, "connector_types"),
    ],
)
def test_same_name_twice(host, implement, hook, offer, types):
    """A name that two plugins register is an error that names both."""
    host.register("one", registering(implement, hook, offer))
    host.register("two", registering(implement, hook, offer))

    with pytest.raises(PluginError, match=f"one and two both register .*{offer.name}"):
        getattr(host, types)()


async def test_hook_startup(enable, implement):
    """Plugins start in the order of the allow-list, each with its context."""
    order = []

    def starting(name):
        async def startup(self, context):
            order.append((name, context.clock.monotonic()))

        return implement("startup", startup)

    host = enable(b=starting("b"), a=starting("a"))
    await host.startup()

    assert order == [("b", 1000.0), ("a", 1000.0)]


async def test_startup_fails(enable, implement):
    """The first failure stops the start-up and names the plugin; the rest waits."""
    started = []

    async def fine(self):
        started.append(self)

    async def broken(self):
        raise OSError("no such list")

    host = enable(
        a=implement("startup", fine),
        b=implement("startup", broken),
        c=implement("startup", fine),
    )
    with pytest.raises(PluginError, match="plugin b: startup failed: raised OSError"):
        await host.startup()

    assert len(started) == 1


async def test_startup_fails_in_plain_words(enable, implement):
    """What a plugin says by an error of ours is told, for it names the fix."""

    async def broken(self):
        raise GatewayError("word list a.txt is not UTF-8: save it as UTF-8")

    host = enable(a=implement("startup", broken))

    with pytest.raises(PluginError, match="a: startup failed: word list a.txt is not"):
        await host.startup()


async def test_startup_unbound(host, implement):
    """Plugins without a context are not started."""

    async def startup(self, context):
        raise AssertionError

    host.register("a", implement("startup", startup))

    with pytest.raises(PluginError, match="call bind"):
        await host.startup()


def test_bind_incomplete(host, answering):
    """Every plugin must get a context."""
    host.register("a", answering("route_message", None))

    with pytest.raises(PluginError, match="no context for plugins: a"):
        host.bind({})


async def test_hook_shutdown(enable, implement):
    """Plugins stop in reverse order; one that fails hinders no other."""
    order = []

    def stopping(name):
        async def shutdown(self):
            order.append(name)
            if name == "b":
                raise ValueError

        return implement("shutdown", shutdown)

    await enable(a=stopping("a"), b=stopping("b"), c=stopping("c")).shutdown()

    assert order == ["c", "b", "a"]


async def test_hook_check_health(enable, implement):
    """Every plugin has a health: its own word, OK if it says none, DOWN if it fails."""
    slow = Health(status=HealthStatus.DEGRADED, text="slow")

    async def says(self):
        return slow

    async def nothing(self):
        return None

    async def fails(self):
        raise ValueError

    host = enable(
        says=implement("check_health", says),
        nothing=implement("check_health", nothing),
        fails=implement("check_health", fails),
        silent=implement("startup", nothing),
    )
    healths = await host.check_health()

    ok = Health(status=HealthStatus.OK)
    assert (healths["says"], healths["nothing"], healths["silent"]) == (slow, ok, ok)
    assert healths["fails"].status is HealthStatus.DOWN
    assert healths["fails"].text == "check_health: raised ValueError"


async def test_hook_enrich_message(enable, implement, message):
    """Each plugin gets what the one before returned; None leaves it as it is."""

    def adding(flag):
        async def enrich(self, message):
            return replace(message, flags=(*message.flags, flag)) if flag else None

        return implement("enrich_message", enrich)

    host = enable(a=adding("a"), b=adding(""), c=adding("c"))

    assert await host.enrich(message) == (replace(message, flags=("a", "c")), ())


async def test_hook_identify_contact(enable, answering, message):
    """The first answer counts, the next plugin is not asked."""
    contact = Contact(id=ContactId("c1"), name="Maria")
    first, second, third = (
        answering("identify_contact", answer) for answer in (None, contact, contact)
    )
    host = enable(a=first, b=second, c=third)

    assert await host.identify(message) == contact
    assert (len(first.seen), len(third.seen)) == (1, 0)


async def test_hook_moderate_message(enable, answering, message):
    """All are asked, in order; those with nothing to say give no verdict."""
    passed, held = verdict(Action.PASS), verdict(Action.HOLD)
    host = enable(
        a=answering("moderate_message", passed),
        b=answering("moderate_message", None),
        c=answering("moderate_message", held),
    )

    assert await host.moderate(message) == (passed, held)


async def test_moderators_at_once(enable, implement, message):
    """Several moderators work at the same time."""
    barrier = asyncio.Barrier(2)

    async def moderate(self, message):
        await barrier.wait()

    host = enable(
        a=implement("moderate_message", moderate),
        b=implement("moderate_message", moderate),
    )

    assert await host.moderate(message) == ()


async def test_hook_route_message(enable, answering, message):
    """The first answer counts, the next plugin is not asked."""
    last = answering("route_message", assignment("verde"))
    host = enable(
        a=answering("route_message", None),
        b=answering("route_message", assignment("strade")),
        c=last,
    )

    assert await host.route(message) == assignment("strade")
    assert last.seen == []


async def test_route_unknown_service(enable, answering, message):
    """An assignment to a service that does not exist is a failure of that plugin."""
    host = enable(
        a=answering("route_message", assignment("marte")),
        b=answering("route_message", assignment("strade")),
    )
    host.known_services = frozenset({ServiceId("strade")})

    assert await host.route(message) == assignment("strade")


async def test_hook_observe_event(enable, implement):
    """Observers see events in order, after the caller has gone on."""
    seen = []

    async def observe(self, event):
        seen.append(event.subject)

    host = enable(a=implement("observe_event", observe))
    for subject in ("1", "2", "3"):
        await host.observe(Event(action="a", subject=subject, actor="gateway"))
    assert seen == []

    await host.shutdown()
    assert seen == ["1", "2", "3"]


async def test_order_of_implementations(enable, answering, message):
    """`tryfirst` and `trylast` move a plugin; otherwise the allow-list is the order."""
    host = enable(
        a=answering("route_message", assignment("a"), trylast=True),
        b=answering("route_message", assignment("b")),
        c=answering("route_message", assignment("c"), tryfirst=True),
    )
    assert (await host.route(message)).service == "c"

    calls = [call.plugin for call in host._routers]
    assert calls == ["c", "b", "a"]


async def test_nobody_implements(host, message):
    """Without plugins nothing is changed, judged, named or seen."""
    event = Event(action="a", subject="s", actor="gateway")

    assert await host.enrich(message) == (message, ())
    assert await host.identify(message) is None
    assert await host.moderate(message) == ()
    assert await host.route(message) is None
    assert await host.observe(event) is None
    assert await host.check_health() == {}


async def test_timeouts_set_later(host, implement, context, message):
    """Time-outs set after loading count, and the context stays."""
    seen = []

    async def route(self, context, message):
        seen.append(context)
        await asyncio.Event().wait()

    host.register("slow", implement("route_message", route))
    host.bind({"slow": context})
    host.timeouts = replace(host.timeouts, route=0.01)

    assert await host.route(message) is None
    assert seen == [context]
    assert host._routers[0]._timeout == 0.01


def test_every_hook_has_a_test():
    """No hook without its `test_hook_…` here."""
    tested = {
        name.removeprefix("test_hook_") for name in globals() if "test_hook_" in name
    }

    assert tested == set(contract.specs())
