"""Implementations are held to the specification of their hook before they run."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.errors import PluginError
from gateway.model import Assignment, Contact, Event, Health, Message, Verdict
from gateway.plugin import Context, NoConfig, Plugin, Section, hookimpl


class OtherConfig(Section):
    """The section of another plugin."""


async def wrong_return(self, context, message: Message) -> str | None: ...
async def wider_return(self, message: Message) -> Verdict | Assignment | None: ...
async def wrong_message(self, context, message: Contact) -> Verdict | None: ...
async def optional_message(self, message: Message | None) -> Verdict | None: ...
async def other_config(self, context: Context[OtherConfig]) -> None: ...
async def too_many(self, context, message, extra) -> Verdict | None: ...
async def misnamed(self, ctx, msg) -> Verdict | None: ...
async def optional_extra(self, message, *, limit: int = 3) -> Verdict | None: ...
async def async_register(self) -> list[ChannelType]: ...
async def unreadable(self, message: "Nowhere") -> Verdict | None: ...  # noqa: F821 (on purpose)
def not_async(self, context, message) -> Verdict | None: ...
def single(self) -> ChannelType: ...
def wrong_element(self) -> list[ConnectorType]: ...
async def generator(self, message) -> AsyncIterator[Verdict]:
    yield Verdict


VIOLATIONS = [
    (
        "moderate_message",
        wrong_return,
        "-> str | None; wanted -> gateway.model.Verdict",
    ),
    ("moderate_message", wider_return, "Assignment | None; wanted -> gateway.model.V"),
    (
        "moderate_message",
        wrong_message,
        "model.Contact; wanted message: gateway.model.",
    ),
    ("startup", other_config, "OtherConfig]; wanted context: gateway.plugin.Context"),
    ("moderate_message", too_many, "extra); wanted some of (context, message)"),
    ("moderate_message", misnamed, "(ctx, msg); wanted some of (context, message)"),
    ("moderate_message", optional_extra, "limit); wanted some of (context, message)"),
    ("register_channels", async_register, "found async def; wanted def"),
    ("moderate_message", not_async, "found def; wanted async def"),
    ("moderate_message", generator, "found def; wanted async def"),
    (
        "moderate_message",
        unreadable,
        "name 'Nowhere' is not defined); wanted its types",
    ),
    ("register_channels", single, "ChannelType; wanted -> collections.abc.Iterable"),
    ("register_channels", wrong_element, "ConnectorType]; wanted -> collections.abc."),
    ("moderate_mesage", not_async, "no such hook; wanted one of check_health, enrich_"),
]


@pytest.mark.parametrize(
    ("hook", "function", "complaint"),
    VIOLATIONS,
    ids=[function.__name__ for _, function, _ in VIOLATIONS],
)
def test_violation(host, implement, hook, function, complaint):
    """A violation names plugin, hook, what was found and what is wanted."""
    with pytest.raises(PluginError) as caught:
        host.register("fax", implement(hook, function))

    assert str(caught.value).startswith(f"plugin fax, hook {hook}: found ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper"])
def test_wrapper(host, implement, option):
    """A wrapper around other plugins is refused: each is called by itself."""

    def around(self, message):
        return (yield)

    with pytest.raises(PluginError, match="a hook wrapper; wanted a plain"):
        host.register("x", implement("moderate_message", around, **{option: True}))


async def bare(self): ...
async def untyped(self, context, message): ...
async def exact(self, context: Context[Any], message: Message) -> Verdict | None: ...
async def own_config(self, context: Context[NoConfig], message) -> Verdict: ...
async def plain_context(self, context: Context, message: Any) -> None: ...
async def wide(self, message: object) -> Any: ...
def a_list(self) -> list[ChannelType]: ...
def a_tuple(self) -> tuple[ChannelType, ...]: ...
def a_sequence(self) -> Sequence[ChannelType]: ...
def an_iterable(self) -> Iterable[ChannelType]: ...
async def healthy(self) -> Health: ...
async def watching(self, event: Event) -> None: ...


FINE = [
    ("moderate_message", bare),
    ("moderate_message", untyped),
    ("moderate_message", exact),
    ("moderate_message", own_config),
    ("moderate_message", plain_context),
    ("moderate_message", wide),
    ("moderate_message", optional_message),
    ("register_channels", a_list),
    ("register_channels", a_tuple),
    ("register_channels", a_sequence),
    ("register_channels", an_iterable),
    ("check_health", healthy),
    ("observe_event", watching),
]


@pytest.mark.parametrize(
    ("hook", "function"), FINE, ids=[function.__name__ for _, function in FINE]
)
def test_fine(host, implement, hook, function):
    """Fewer parameters, narrower results, wider parameters, no types: all are fine."""
    host.register("fax", implement(hook, function))

    assert "fax" in host.plugin_sections()


class Offering(Plugin[NoConfig]):
    """Registers whatever it is given."""

    def __init__(self, offers):
        self._offers = offers

    @hookimpl
    def register_channels(self) -> list[ChannelType]:
        return self._offers

    @hookimpl
    def register_connectors(self) -> list[ConnectorType]:
        return self._offers


@pytest.mark.parametrize(
    ("offers", "complaint"),
    [
        (["email"], "plugin fax registers str; wanted"),
        ([OtherConfig], "plugin fax registers .*; wanted"),
        (None, "plugin fax can't register: TypeError"),
    ],
)
def test_registered_nonsense(host, offers, complaint):
    """What a plugin registers is checked when it is collected."""
    host.register("fax", Offering(offers))

    with pytest.raises(PluginError, match=complaint):
        host.channel_types()
    with pytest.raises(PluginError, match=complaint):
        host.connector_types()
