"""Where an answer goes that its channel can't take: from rung to rung, then to staff.

``template``: what the provider has approved, on the same channel. ``other_address``:
where its citizen agreed to be answered besides. ``staff``: the dead letters. Only what
surely did not arrive goes on, so that nobody reads an answer twice.

A delivery on the rung ``other_address`` stands in for that of the first channel. When
it is made, and again when it is about to leave, its address must be one that the person
agreed to whom the first channel would reach at that moment, and still theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, exists, select, update

from gateway import audit, cases, consents, identity, jobs, messages, parts, texts
from gateway.consents import NEVER
from gateway.jobs import NewJob
from gateway.messages import Said
from gateway.model import ChannelId, DeliveryState, Event, Manners, Message
from gateway.parts import Part
from gateway.store import schema
from gateway.store.prepared import Insertion
from gateway.store.units import now
from gateway.targets import CHANNEL, queue_of
from gateway.texts import Texts

TEMPLATE: Final = "template"
OTHER_ADDRESS: Final = "other_address"
STAFF: Final = "staff"

RUNGS: Final = (TEMPLATE, OTHER_ADDRESS, STAFF)
"""All there are, in the order in which they are tried by default."""

NOT_AGREED: Final = "not_agreed"
"""Code of what can't leave: the address is no longer one that its citizen agreed to."""

_ARRIVING: Final = tuple(
    state.value
    for state in DeliveryState
    if state not in {DeliveryState.FAILED, DeliveryState.DEAD, DeliveryState.PASSED_ON}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The rungs in the city's order, and how each channel wants what is said."""

    texts: Texts
    rungs: tuple[str, ...] = RUNGS
    manners: Mapping[ChannelId, Manners] = field(default_factory=dict)

    def may_template(self, purpose: str, rung: str | None) -> bool:
        """Tell whether a delivery may go as a template, if nothing else can."""
        if not parts.is_answer(purpose) or rung == TEMPLATE:
            return True
        if rung == OTHER_ADDRESS:
            return TEMPLATE in self.rungs
        return self.rungs[0] == TEMPLATE

    def above(self, rung: str | None) -> tuple[str, ...]:
        """Return what is left to be tried above a rung; None is below them all."""
        if rung is None:
            # Who may use a template at once has tried that.
            return self.rungs[self.rungs[0] == TEMPLATE :]
        known = rung in self.rungs
        return self.rungs[self.rungs.index(rung) + 1 :] if known else ()


def climb(
    connection: Connection, ladder: Ladder, delivery_id: str, code: str
) -> set[str] | None:
    """Let an answer that did not arrive go on; return the queues with new work.

    None if it is staff's now. The job of the delivery is the caller's to finish.
    """
    table = schema.delivery
    row = connection.execute(select(table).where(table.c.id == delivery_id)).one()
    if not (row.target.startswith(f"{CHANNEL}:") and parts.is_answer(row.purpose)):
        return None
    for rung in ladder.above(row.rung):
        step = _STEPS.get(rung)
        queues = step(connection, ladder, row, code) if step else None
        if queues is not None:
            return queues
    return None


def _by_template(
    connection: Connection, ladder: Ladder, row: Any, code: str
) -> set[str] | None:
    """Try the first channel once more, this time by a template."""
    table = schema.delivery
    first = row
    if row.instead_of is not None:
        first = connection.execute(
            select(table).where(table.c.id == row.instead_of)
        ).one()
    channel = ChannelId(first.target.removeprefix(f"{CHANNEL}:"))
    if ladder.manners.get(channel, Manners()).window is None:
        return None
    thread = _thread(connection, first.message_id)
    if _person(connection, thread) is None:
        # The address is somebody else's by now.
        return None
    untried = [table.c.id == first.id, table.c.rung.is_(None)]
    if first is not row:
        if _arrives_in_part(connection, first.id, row.id):
            return None
        # Meanwhile a late word may have told that it has arrived after all.
        untried.append(table.c.state == DeliveryState.PASSED_ON.value)
    revived = connection.execute(
        update(table)
        .where(*untried)
        .values(
            state=DeliveryState.PENDING.value,
            rung=TEMPLATE,
            code=code,
            external_id=None,
        )
    )
    if revived.rowcount != 1:
        return None
    if first is not row:
        _pass_on(connection, row, code)
    job = NewJob(queue=queue_of(first.target), lane=thread.id, subject=first.id)
    jobs.enqueue(connection, [job])
    _event(connection, row, code, TEMPLATE, {first.id: first.target})
    return {job.queue}


def _arrives_in_part(connection: Connection, first: str, besides: str) -> bool:
    """Tell whether another part of an answer that was cut up is read, or will be."""
    table = schema.delivery
    found = select(table.c.id).where(
        table.c.instead_of == first,
        table.c.id != besides,
        table.c.state.in_(_ARRIVING),
    )
    return connection.execute(found.limit(1)).first() is not None


def _to_other_address(
    connection: Connection, ladder: Ladder, row: Any, code: str
) -> set[str] | None:
    """Answer where the citizen agreed to be answered besides."""
    # Locked: while its case is merged into another, it waits.
    case = cases.current(connection, {row.case_id} if row.case_id else ())
    thread = _thread(connection, row.message_id)
    person = _person(connection, thread)
    if not case or person is None:
        return None
    agreed = [
        each
        for each in consents.of_contact(connection, person)
        if each.channel in ladder.manners and each.channel != thread.channel
    ]
    if not agreed:
        return None
    case_id, consent = case[row.case_id].id, agreed[0]
    conversation_id = _conversation(connection, consent)
    said = messages.load(connection, [row.message_id])[row.message_id]
    made = list(_parts(connection, ladder, row, said, consent))
    new = [
        messages.outbound_row(
            Said(
                channel=consent.channel,
                text=part.text,
                location=part.location,
                conversation_id=conversation_id,
                case_id=case_id,
            ),
            now(connection),
        )
        for part in made
    ]
    messages.store(connection, new)
    deliveries = [
        _stand_in(connection, row, part, message, consent.uri)
        for part, message in zip(made, new, strict=True)
    ]
    _INSERT.execute(connection, deliveries)
    queue = queue_of(f"{CHANNEL}:{consent.channel}")
    jobs.enqueue(
        connection,
        [
            NewJob(queue=queue, lane=conversation_id, subject=each["id"])
            for each in deliveries
        ],
    )
    _pass_on(connection, row, code)
    ids = {each["id"]: each["target"] for each in deliveries}
    _event(connection, row, code, OTHER_ADDRESS, ids)
    return {queue}


_STEPS: Final[
    Mapping[str, Callable[[Connection, Ladder, Any, str], set[str] | None]]
] = {TEMPLATE: _by_template, OTHER_ADDRESS: _to_other_address}

_INSERT = Insertion(
    schema.delivery,
    [
        c.name
        for c in schema.delivery.c
        if c.name not in {"external_id", "awaits", "begun_at"}
    ],
)
_OPEN = Insertion(
    schema.conversation,
    [c.name for c in schema.conversation.c if c.name != "anew_at"],
    only_new=True,
)


def _thread(connection: Connection, message_id: str) -> Any:
    """Return the conversation of a message."""
    message, table = schema.message, schema.conversation
    return connection.execute(
        select(table)
        .join(message, message.c.conversation_id == table.c.id)
        .where(message.c.id == message_id)
    ).one()


def _person(connection: Connection, thread: Any) -> str | None:
    """Return the contact whom an answer in a conversation would reach by now.

    None where that is not the one who wrote in it, unless these have become one.
    """
    table = schema.address
    owner = connection.execute(
        select(table.c.contact_id).where(table.c.uri == thread.reply_to)
    ).scalar_one_or_none()
    if owner is None or owner == thread.contact_id:
        return owner
    return owner if _is_now(connection, thread.contact_id, owner) else None


def _is_now(connection: Connection, contact_id: str, owner: str) -> bool:
    """Tell whether a contact has become the ``owner``: it has no address of its own."""
    table, address = schema.contact, schema.address
    into: str | None = contact_id
    seen: set[str] = set()
    while into is not None and into != owner and into not in seen:
        seen.add(into)
        into = connection.execute(
            select(table.c.merged_into).where(
                table.c.id == into,
                ~exists().where(address.c.contact_id == table.c.id),
            )
        ).scalar_one_or_none()
    return into == owner


def _conversation(connection: Connection, consent: Any) -> str:
    """Return where a contact is written to by a channel; it may be new there."""
    table = schema.conversation
    row = {
        "id": identity.new_id(),
        "channel": consent.channel,
        "contact_id": consent.contact_id,
        "reply_to": consent.uri,
        "last_inbound_at": NEVER,
    }
    _OPEN.execute(connection, [row])
    found: str = connection.execute(
        select(table.c.id).where(
            table.c.channel == consent.channel,
            table.c.contact_id == consent.contact_id,
        )
    ).scalar_one()
    return found


def _parts(
    connection: Connection, ladder: Ladder, row: Any, said: Message, consent: Any
) -> Iterator[Part]:
    """Cut an answer, or the part of one that failed, anew for the other channel."""
    manners = ladder.manners[ChannelId(consent.channel)]
    way = consents.way_of(consent.uri, consent.channel)
    why = ladder.texts.say(texts.OTHER_ADDRESS, way=way)
    text = parts.with_place(said.text, said.location, manners, ladder.texts)
    text = "\n\n".join(filter(None, [text, why]))
    alone = parts.enclosed(row.purpose)
    if alone is not None and not manners.files_apart:
        yield Part(purpose=row.purpose, text=text, brings=True)
        return
    files: Collection[int] = () if alone is None else (alone,)
    if alone is None and row.source_id is not None:
        found = messages.load_attachments(connection, [row.source_id])
        files = range(len(found.get(row.source_id, ())))
    yield from parts.cut(text, said.location, tuple(files), manners)


def _stand_in(
    connection: Connection, row: Any, part: Part, message: Mapping[str, Any], uri: str
) -> dict[str, Any]:
    return {
        "id": identity.new_id(),
        "message_id": message["id"],
        "case_id": message["case_id"],
        "target": f"{CHANNEL}:{message['channel']}",
        "purpose": part.purpose,
        "recipient": uri,
        "quote": None,
        "source_id": row.source_id if part.brings else None,
        "state": DeliveryState.PENDING.value,
        "code": "",
        "created_at": now(connection),
        "rung": OTHER_ADDRESS,
        "instead_of": row.id,
    }


def _pass_on(connection: Connection, row: Any, code: str) -> None:
    table = schema.delivery
    connection.execute(
        update(table)
        .where(table.c.id == row.id)
        .values(state=DeliveryState.PASSED_ON.value, code=code)
    )


def _event(
    connection: Connection, row: Any, code: str, rung: str, new: Mapping[str, str]
) -> None:
    event = Event(
        action="delivery.passed_on",
        subject=row.message_id,
        actor="gateway",
        data={
            "delivery": row.id,
            "target": row.target,
            "code": code,
            "rung": rung,
            "to": sorted(set(new.values())),
            "as": sorted(new),
            "maybe_twice": False,
        },
    )
    audit.record(connection, event)


def lapsed(connection: Connection, delivery_ids: Collection[str]) -> set[str]:
    """Return the stand-ins that must not leave: see the head of this module."""
    table, first = schema.delivery, schema.delivery.alias()
    rows = connection.execute(
        select(table, first.c.message_id.label("first_said"))
        .join(first, first.c.id == table.c.instead_of)
        .where(table.c.id.in_(delivery_ids))
    ).all()
    return {row.id for row in rows if not _is_agreed(connection, row)}


def _is_agreed(connection: Connection, row: Any) -> bool:
    person = _person(connection, _thread(connection, row.first_said))
    channel = row.target.removeprefix(f"{CHANNEL}:")
    return person is not None and any(
        (row.recipient, channel) == (each.uri, each.channel)
        for each in consents.of_contact(connection, person)
    )
