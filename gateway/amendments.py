"""Edits, revocations and reactions: they join the message that they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from gateway import cases, threads
from gateway.model import Amendment, Case, MessageState
from gateway.outcome import Filed, Outcome
from gateway.threads import Place

HELD_WITH = "changes a message that is in no case"
"""Why staff must look at an edit: what it changes is held, or was refused."""


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
    originals = threads.find(
        connection, {(o.message.channel, o.message.amends) for o, _ in said}
    )
    rows = cases.current(
        connection, {o.case_id for o in originals.values() if o.case_id is not None}
    )
    found = {each: cases.from_row(row) for each, row in rows.items()}
    return {
        outcome.message.id: filed
        for outcome, conversation_id in said
        for filed in _file(outcome, conversation_id, originals, found)
    }


def _file(
    outcome: Outcome,
    conversation_id: str,
    originals: dict[tuple[str, str], Place],
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
