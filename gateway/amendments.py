"""Edits, revocations and reactions: they join the message that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from gateway import cases
from gateway.model import Amendment, Case, Message, MessageState
from gateway.outcome import Filed, Outcome
from gateway.store import schema

HELD_WITH = "changes a message that is in no case"
"""Why staff must look at an edit: what it changes is held, or was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    """The message that is amended: where it stands, and its case, if it has one."""

    conversation_id: str | None
    case_id: str | None


def file(
    connection: Connection, pairs: Sequence[tuple[Outcome, str]]
) -> dict[str, Filed]:
    """File the amendments among ``pairs`` of outcome and conversation.

    An amendment goes where its original is, if that is in the same conversation: what
    somebody says about the messages of others counts for nothing. An edit of nothing
    that we know is a message like any other, and is not filed here.
    """
    said = [(o, c) for o, c in pairs if o.message.amendment is not None]
    if not said:
        return {}
    originals = _find(connection, [o.message for o, _ in said])
    found = cases.load(
        connection, {o.case_id for o in originals.values() if o.case_id is not None}
    )
    return {
        outcome.message.id: filed
        for outcome, conversation_id in said
        for filed in _file(outcome, conversation_id, originals, found)
    }


def _file(
    outcome: Outcome,
    conversation_id: str,
    originals: dict[tuple[str, str], _Original],
    found: dict[str, Case],
) -> Iterator[Filed]:
    message = outcome.message
    original = originals.get((message.channel, message.amends))
    known = original is not None and original.conversation_id == conversation_id
    if not known and message.amendment is Amendment.EDIT:
        return
    case = found.get(original.case_id or "") if original is not None and known else None
    if case is None and message.amendment is Amendment.EDIT:
        outcome = _held(outcome)
    if outcome.state is not MessageState.PROCESSED:
        case = None
    yield Filed(outcome=outcome, conversation_id=conversation_id, case=case, new=False)


def _held(outcome: Outcome) -> Outcome:
    """Hold what would otherwise go on."""
    if outcome.state is not MessageState.PROCESSED:
        return outcome
    return replace(outcome, state=MessageState.HELD, reason=HELD_WITH)


def _find(
    connection: Connection, said: Sequence[Message]
) -> dict[tuple[str, str], _Original]:
    """Find the amended messages: a citizen's by Meta's id, ours by their delivery."""
    names = {message.amends for message in said}
    channels = {message.channel for message in said}
    inbox, message, delivery = schema.inbox, schema.message, schema.delivery
    place = (message.c.channel, message.c.conversation_id, message.c.case_id)
    theirs = (
        select(inbox.c.external_id, *place)
        .join(message, message.c.id == inbox.c.id)
        .where(inbox.c.channel.in_(channels), inbox.c.external_id.in_(names))
    )
    ours = (
        select(delivery.c.external_id, *place)
        .join(message, message.c.id == delivery.c.message_id)
        .where(delivery.c.external_id.in_(names))
    )
    return {
        (row.channel, row.external_id): _Original(
            conversation_id=row.conversation_id, case_id=row.case_id
        )
        for statement in (ours, theirs)
        for row in connection.execute(statement)
    }
