"""What was decided about a message, and where that puts it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import Assignment, Case, Contact, Message, MessageState, Verdict


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
class Filed:
    """An outcome with the contact, conversation and case it belongs to.

    ``settled``: it told whose the case is, which was waiting to know. ``reopened``: it
    brought a closed case back.
    """

    outcome: Outcome
    conversation_id: str
    case: Case | None
    new: bool
    settled: bool = False
    reopened: bool = False
