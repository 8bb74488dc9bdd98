"""Loads plugins and calls their hooks: one typed method a hook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast

import pluggy
import structlog

from gateway import hookspecs
from gateway.breaker import BreakerState
from gateway.channel import ChannelType
from gateway.clock import Clock, SystemClock
from gateway.commands import CommandGroup
from gateway.connector import ConnectorType
from gateway.errors import GatewayError, PluginError
from gateway.host import contract, loading
from gateway.host.guard import Failed, GuardedCall, Nonsense, Timeouts, validator
from gateway.host.observers import Observer
from gateway.host.offers import Offers, OfferT
from gateway.model import (
    Action,
    Assignment,
    Contact,
    Event,
    Health,
    HealthStatus,
    Message,
    ServiceId,
    Verdict,
)
from gateway.plugin import Context, Plugin, Section

log = structlog.get_logger()

Ask = Callable[..., Awaitable[Any]]
ResultT = TypeVar("ResultT")
Register = Callable[[], Iterable[Any]]

UNAVAILABLE = "moderation-unavailable"
"""The rule of a verdict that a moderator failed to give."""

_UNCHANGEABLE = ("id", "channel", "external_id", "sender")


class PluginHost:
    """The plugins of one gateway, in the order of ``[gateway] plugins``."""

    def __init__(
        self, timeouts: Timeouts | None = None, clock: Clock | None = None
    ) -> None:
        """Hold no plugin yet."""
        self.known_services: frozenset[ServiceId] | None = None
        """Services an assignment may name; None: any."""
        self._timeouts = timeouts or Timeouts()
        self._clock = clock or SystemClock()
        self._manager = pluggy.PluginManager("gateway")
        self._manager.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin[Any]] = {}
        self._contexts: Mapping[str, Context[Any]] = {}
        self._wire()

    @property
    def timeouts(self) -> Timeouts:
        """How long each hook may take; set before the first message."""
        return self._timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._wire()

    # Loading

    @staticmethod
    def installed() -> dict[str, EntryPoint]:
        """Return the installed plugins by name; installed is not enabled."""
        return loading.installed()

    def load(self, names: Iterable[str], base: Path) -> None:
        """Load the plugins of the allow-list ``names``, in its order.

        ``path/to/file.py:ClassName``, relative to ``base``, is a plugin in one file.

        Raises:
            PluginError: one can't be loaded or breaks the contract.

        """
        for each in names:
            name, plugin = loading.load(each, base)
            self._register(name, plugin)
        self._wire()

    def register(self, name: str, plugin: Plugin[Any]) -> None:
        """Add one plugin object.

        Raises:
            PluginError: it breaks the contract.

        """
        self._register(name, loading.require_plugin(name, plugin))
        self._wire()

    def _register(self, name: str, plugin: Plugin[Any]) -> None:
        if name in self._plugins:
            raise PluginError(f"plugin {name} is listed twice: name each plugin once")
        contract.check(name, plugin, self._implementations(plugin))
        self._manager.register(plugin, name)
        self._manager.check_pending()
        self._plugins[name] = plugin

    def _implementations(self, plugin: Plugin[Any]) -> dict[str, Mapping[str, Any]]:
        marked = {
            name: self._manager.parse_hookimpl_opts(plugin, name)
            for name in dir(plugin)
        }
        return {name: opts for name, opts in marked.items() if opts is not None}

    def plugin_sections(self) -> Mapping[str, type[Section]]:
        """Return the type of ``[plugins.<name>]`` for each plugin."""
        # `loading.require_plugin` has seen to it that they are sections.
        return {
            name: cast("type[Section]", plugin.config)
            for name, plugin in self._plugins.items()
        }

    def bind(self, contexts: Mapping[str, Context[Any]]) -> None:
        """Hand each plugin its context.

        Raises:
            PluginError: a plugin would get none.

        """
        missing = [name for name in self._plugins if name not in contexts]
        if missing:
            raise PluginError(f"no context for plugins: {', '.join(missing)}")
        self._contexts = contexts
        self._wire()

    # Wiring: what is called for each hook, in order. Done once, not per message.

    def _wire(self) -> None:
        self._calls: list[GuardedCall[Any]] = []
        times = self._timeouts
        calls = self._calls_of
        self._starters = calls("startup", times.startup, NoneType)
        self._stoppers = calls("shutdown", times.shutdown, NoneType)
        self._healths = calls("check_health", times.health, Health)
        self._enrichers = calls("enrich_message", times.enrich, Message)
        self._identifiers = calls("identify_contact", times.identify, Contact)
        self._moderators = calls("moderate_message", times.moderate, Verdict)
        self._routers = calls("route_message", times.route, Assignment)
        watchers = calls("observe_event", times.observe, NoneType)
        self._observers = [Observer(call) for call in watchers]

    def _calls_of(
        self, hook: str, timeout: float, result: type[ResultT]
    ) -> list[GuardedCall[ResultT]]:
        calls = [
            GuardedCall[ResultT](
                impl.plugin_name,
                hook,
                cast("Ask", impl.function),
                impl.argnames,
                context=self._contexts.get(impl.plugin_name),
                timeout=timeout,
                validate=validator(result),
                clock=self._clock,
            )
            for impl in self._implementers(hook)
        ]
        self._calls += calls
        return calls

    def _implementers(self, hook: str) -> list[pluggy.HookImpl]:
        """Return who implements a hook, in call order."""
        order = {name: place for place, name in enumerate(self._plugins)}

        def place(impl: pluggy.HookImpl) -> tuple[bool, bool, int]:
            return not impl.tryfirst, impl.trylast, order[impl.plugin_name]

        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return sorted(caller.get_hookimpls(), key=place)

    # Registration

    def channel_types(self) -> Mapping[str, ChannelType]:
        """Return the channel types on offer by name.

        Raises:
            PluginError: two plugins offer the same, or one fails.

        """
        return self._channels().types()

    def connector_types(self) -> Mapping[str, ConnectorType]:
        """Return the connector types on offer by name.

        Raises:
            PluginError: two plugins offer the same, or one fails.

        """
        return self._connectors().types()

    def owner_of_channel(self, type_name: str) -> str:
        """Return the plugin that offers a channel type.

        Raises:
            PluginError: none does.

        """
        return self._channels().owner(type_name)

    def owner_of_connector(self, type_name: str) -> str:
        """Return the plugin that offers a connector type.

        Raises:
            PluginError: none does.

        """
        return self._connectors().owner(type_name)

    def _channels(self) -> Offers[ChannelType]:
        return self._collected("register_channels", Offers(ChannelType))

    def _connectors(self) -> Offers[ConnectorType]:
        return self._collected("register_connectors", Offers(ConnectorType))

    def _collected(self, hook: str, offers: Offers[OfferT]) -> Offers[OfferT]:
        for impl in self._implementers(hook):
            offers.add(impl.plugin_name, cast("Register", impl.function))
        return offers

    def register_commands(self, plugin: str, group: CommandGroup) -> bool:
        """Let ``plugin`` add its commands to ``group``; tell whether it has any.

        Raises:
            PluginError: it fails.

        """
        implementations = self._implementers("register_commands")
        for impl in (each for each in implementations if each.plugin_name == plugin):
            try:
                impl.function(*([group] if impl.argnames else []))
            except Exception as error:
                cause = f"{type(error).__name__}: {error}"
                text = f"plugin {plugin} can't register its commands: {cause}"
                raise PluginError(text) from error
            return True
        return False

    # Life cycle

    async def startup(self) -> None:
        """Start every plugin in order.

        Raises:
            PluginError: the first that fails; the rest is not started.

        """
        if not self._contexts.keys() >= self._plugins.keys():
            raise PluginError("the plugins have no context yet: call bind() first")
        for call in self._starters:
            result = await call()
            if isinstance(result, Failed):
                # No message is under way yet, and our own errors name the fix.
                known = isinstance(result.error, GatewayError)
                cause = result.error if known else result.reason
                raise PluginError(
                    f"plugin {call.plugin}: startup failed: {cause}"
                ) from result.error

    async def shutdown(self) -> None:
        """Stop every plugin in reverse order; what fails is logged, all run."""
        for observer in self._observers:
            await observer.close()
        for call in reversed(self._stoppers):
            await call()

    async def check_health(self) -> dict[str, Health]:
        """Ask every plugin how it is; a failure is DOWN, a paused hook DEGRADED."""
        answers = await asyncio.gather(*(call() for call in self._healths))
        healths = dict.fromkeys(self._plugins, Health(status=HealthStatus.OK))
        for call, answer in zip(self._healths, answers, strict=True):
            if isinstance(answer, Failed):
                text = f"check_health: {answer.reason}"
                healths[call.plugin] = Health(status=HealthStatus.DOWN, text=text)
            elif answer is not None:
                healths[call.plugin] = answer
        for call in self._calls:
            if call.breaker.state is not BreakerState.CLOSED:
                healths[call.plugin] = _paused(healths[call.plugin], call.hook)
        return healths

    # The stream

    async def enrich(self, message: Message) -> tuple[Message, tuple[str, ...]]:
        """Let each plugin add to the message; one that fails is skipped and flagged.

        The flag is ``enrich-failed:<plugin>``.
        """
        if not self._enrichers:
            return message, ()
        flags: list[str] = []
        for call in self._enrichers:
            answer = await call(message, partial(_same_message, message))
            if isinstance(answer, Failed):
                flags.append(f"enrich-failed:{call.plugin}")
            elif answer is not None:
                message = answer
        return message, tuple(flags)

    async def identify(self, message: Message) -> Contact | None:
        """Return the first plugin's word on who the sender is."""
        for call in self._identifiers:
            answer = await call(message, _can_be_stored)
            if answer is not None and not isinstance(answer, Failed):
                return answer
        return None

    async def moderate(self, message: Message) -> tuple[Verdict, ...]:
        """Ask every moderator; one that fails has said HOLD."""
        calls = self._moderators
        if not calls:
            return ()
        if len(calls) == 1:
            answers = [await self._judge(calls[0], message)]
        else:
            answers = await asyncio.gather(
                *(self._judge(call, message) for call in calls)
            )
        return tuple(verdict for verdict in answers if verdict is not None)

    @staticmethod
    async def _judge(call: GuardedCall[Verdict], message: Message) -> Verdict | None:
        answer = await call(message, partial(_evidence_within, message))
        return _unavailable(call.plugin) if isinstance(answer, Failed) else answer

    async def route(self, message: Message) -> Assignment | None:
        """Return the first plugin's assignment to a service that exists."""
        for call in self._routers:
            answer = await call(message, self._is_possible)
            if answer is not None and not isinstance(answer, Failed):
                return answer
        return None

    def _is_possible(self, assignment: Assignment) -> None:
        if not 0.0 <= assignment.confidence <= 1.0:
            raise Nonsense("confidence: not between 0 and 1")
        known = self.known_services
        if known is not None and assignment.service not in known:
            raise Nonsense("service: not configured")

    @property
    def has_observers(self) -> bool:
        """Whether anybody wants to see events."""
        return bool(self._observers)

    async def observe(self, event: Event) -> None:
        """Show an event to the observers, detached from the caller; never waits."""
        for observer in self._observers:
            observer.tell(event)


def _paused(health: Health, hook: str) -> Health:
    """Add to a plugin's health that one of its hooks is left alone."""
    text = f"{hook}: left alone after repeated failures"
    return Health(
        status=HealthStatus.DEGRADED
        if health.status is HealthStatus.OK
        else health.status,
        text=f"{health.text}; {text}" if health.text else text,
    )


def _same_message(before: Message, after: Message) -> None:
    changed = [
        name for name in _UNCHANGEABLE if getattr(before, name) != getattr(after, name)
    ]
    if changed:
        raise Nonsense(f"changed {', '.join(changed)}")


def _can_be_stored(contact: Contact) -> None:
    texts = (contact.id, contact.name, *map(str, contact.addresses))
    if not contact.id or "\x00" in "".join(texts):
        raise Nonsense("contact: no id, or NUL in a text")


def _evidence_within(message: Message, verdict: Verdict) -> None:
    length = len(message.text)
    for span in verdict.evidence:
        if not 0 <= span.start <= span.end <= length:
            raise Nonsense("evidence: outside of the text")


def _unavailable(plugin: str) -> Verdict:
    return Verdict(
        action=Action.HOLD,
        rule=UNAVAILABLE,
        reason=(
            f"Il controllo automatico «{plugin}» non è disponibile:"
            " il messaggio attende la verifica di un operatore."
        ),
        source=plugin,
    )
