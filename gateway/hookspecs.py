"""The hooks. Their docstrings are the reference; `gateway.host` combines the results.

A hook's colour (plain function or ``async def``) is part of its specification. Hooks
are called one plugin at a time, in the order of ``[gateway] plugins``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from gateway.channel import ChannelType
from gateway.commands import CommandGroup
from gateway.connector import ConnectorType
from gateway.model import Assignment, Contact, Event, Health, Message, Verdict
from gateway.plugin import Context

hookspec = pluggy.HookspecMarker("gateway")


@hookspec
def register_channels() -> Iterable[ChannelType]:
    """Name the channel types this plugin offers; used by ``[channels.<id>] type``.

    A name that two plugins register stops start-up, naming both.
    """
    return ()


@hookspec
def register_connectors() -> Iterable[ConnectorType]:
    """Name the connector types this plugin offers to ``[services.<id>]``.

    A name that two plugins register stops start-up, naming both.
    """
    return ()


@hookspec
def register_commands(group: CommandGroup) -> None:
    """Add commands to ``gateway <plugin>``, by ``@group.app.command()``.

    Called when they are used or listed, with no configuration read: a command opens the
    one it is given by `CommandGroup.open`. Import what is heavy inside of the command.
    """


@hookspec
async def startup(context: Context[Any]) -> None:
    """Run once before the first message; the first failure stops start-up."""


@hookspec
async def shutdown(context: Context[Any]) -> None:
    """Run once after the last message, in reverse order; a failure is logged."""


@hookspec
async def check_health(context: Context[Any]) -> Health | None:
    """Say how the plugin is; an exception means it is down."""
    return None


@hookspec
async def enrich_message(context: Context[Any], message: Message) -> Message | None:
    """Return the message with something added, or None to leave it as it is.

    Each plugin gets what the one before returned; what the last returned is what is
    moderated, routed, stored and handed over. Failure: skipped, and flagged.
    """
    return None


@hookspec
async def identify_contact(context: Context[Any], message: Message) -> Contact | None:
    """Say who the sender is; the first answer counts, the core's look-up is last.

    The id decides: the contact of that id, or, if there is none, the first with one of
    the answer's addresses, or else a new one. Messages of one contact on one channel
    are one conversation. Keep the id free of personal data: it stands in logs.
    """
    return None


@hookspec
async def moderate_message(context: Context[Any], message: Message) -> Verdict | None:
    """Judge the message by the city's rules; the strictest verdict wins.

    Failure or time-out counts as HOLD: never lost, never passed unseen.
    """
    return None


@hookspec
async def route_message(context: Context[Any], message: Message) -> Assignment | None:
    """Name the competent service; the first answer counts.

    If nobody answers, or the answer fails, the default service gets the message.
    """
    return None


@hookspec
async def observe_event(context: Context[Any], event: Event) -> None:
    """See an event of the audit trail after it was recorded; detached from the stream.

    Failure is logged and never reaches the stream.
    """
