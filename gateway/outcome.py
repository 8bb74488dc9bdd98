"""What was decided about a message, and where that puts it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import (
    Assignment,
    Case,
    Contact,
    Event,
    Menu,
    Message,
    MessageState,
    Verdict,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was decided about a citizen's message.

    ``blocked``: it is refused because of who sent it, and nobody is told.
    """

    message: Message
    state: MessageState
    reason: str
    verdicts: tuple[Verdict, ...]
    assignment: Assignment
    contact: Contact | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the gateway itself answers to a message; "" if it keeps silent.

    The message belongs to ``case``, though its service does not get it; ``case_id`` is
    the case that an answer to ours joins. ``events`` go on the record.
    """

    text: str
    purpose: str
    menu: Menu | None = None
    case: Case | None = None
    case_id: str | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An outcome with the contact, conversation and case it belongs to.

    ``settled``: it told whose the case is, which was waiting to know. ``reopened``: it
    brought a closed case back. ``reply``: it was for the gateway itself.
    """

    outcome: Outcome
    conversation_id: str
    case: Case | None
    new: bool
    settled: bool = False
    reopened: bool = False
    reply: Reply | None = None
