"""The words of the gateway: what passes through it, frozen and typed.

Times are aware `datetime` in UTC; sizes are bytes; ids are texts (UUIDv7) unless
their type says otherwise. A foreign id is called ``external_id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import NewType

from gateway.errors import PayloadError

ChannelId = NewType("ChannelId", str)
ServiceId = NewType("ServiceId", str)
InboxId = NewType("InboxId", str)
MessageId = NewType("MessageId", str)
CaseId = NewType("CaseId", str)
ContactId = NewType("ContactId", str)
DeliveryId = NewType("DeliveryId", str)


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody can be reached; prints as a URI: ``mailto:a@b.it``.

    Personal data: a log shows only the scheme.
    """

    scheme: str
    value: str

    def __str__(self) -> str:
        """Print as a URI."""
        return f"{self.scheme}:{self.value}"

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Read a URI back.

        Raises:
            PayloadError: there is no scheme or nothing after it.

        """
        scheme, colon, value = uri.partition(":")
        if not (scheme and colon and value):
            raise PayloadError("address", "expected scheme:value")
        return cls(scheme, value)


class ItemKind(StrEnum):
    """What one part of an accepted original is."""

    MESSAGE = "message"
    RECEIPT = "receipt"
    POISON = "poison"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One part of an original, as a channel splits it before it is acknowledged.

    ``external_id`` is the provider's id, unique within the channel for ever.
    ``part`` finds the part in the original again (a path, a MIME part; may be "").
    ``sender`` orders and shares out the work: same sender, same order, one turn.
    """

    external_id: str
    sender: str
    part: str = ""
    kind: ItemKind = ItemKind.MESSAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The raw bytes of one thing received, exactly as they came."""

    id: str
    channel: ChannelId
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One stored item, about to be read by its channel."""

    id: InboxId
    channel: ChannelId
    external_id: str
    kind: ItemKind
    part: str
    sender: str
    original: Original


class Direction(StrEnum):
    """Which way a message goes, seen from the city."""

    IN = "in"
    OUT = "out"


class Author(StrEnum):
    """Who says a message."""

    CITIZEN = "citizen"
    SERVICE = "service"
    GATEWAY = "gateway"


class MessageState(StrEnum):
    """Where an inbound message stands; each end is one that staff can see."""

    PROCESSED = "processed"
    HELD = "held"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A point on the map, WGS 84 degrees, in a ``district`` of the city.

    ``source`` says whence we have it: "" from the citizen, ``text`` from a street that
    they wrote, ``photo`` from where a camera says it was.
    """

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    district: str = ""
    source: str = ""


class AttachmentState(StrEnum):
    """Whether we have the bytes."""

    PENDING = "pending"
    STORED = "stored"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Bytes that belong to a message.

    ``media_type`` is the sender's claim until the bytes are stored, then what the
    content shows. ``locator`` is how the channel finds the bytes again; ``digest``
    the sender's claimed SHA-256 in hex, if any; ``sha256`` what we measured.
    ``seconds`` is how long a recording lasts, where its content tells.
    """

    media_type: str
    locator: str
    name: str = ""
    size: int | None = None
    digest: str | None = None
    sha256: str | None = None
    voice: bool = False
    seconds: float | None = None
    state: AttachmentState = AttachmentState.PENDING
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing to choose: ``id`` comes back, ``title`` (and more) is read."""

    id: str
    title: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """What somebody may choose from; ``label`` is on the button that opens it."""

    options: tuple[Option, ...]
    label: str = ""


class Amendment(StrEnum):
    """What a message does to an earlier one, instead of saying something new."""

    EDIT = "edit"
    REVOCATION = "revocation"
    REACTION = "reaction"


class Order(StrEnum):
    """What a service wants done with its case."""

    CLOSE = "close"
    HAND_ON = "hand_on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing said by somebody to the city.

    ``sender`` is the stable key of the sender (the provider's user id where there is
    one; ``service:<id>`` is a service's own system, which the channel has proven, and
    speaks of the case whose number is the ``subject``), ``aliases`` other addresses of
    the same person. ``stable``: the provider gives
    the sender's address to nobody else, ever; numbers are given to others in time.
    ``references`` are foreign ids of earlier messages this one answers, nearest first.
    ``automatic``: sent by a machine (out-of-office, bounce); it is kept, and never
    answered. ``menu`` is what we let the citizen choose from, ``choice`` the id of what
    was chosen, and ``text`` how it reads. ``amends`` is the foreign id of the earlier
    message that an ``amendment`` is about: it joins that one's case (a reaction's
    ``text`` is the emoji, "" takes it back). ``subject`` is how its sender headed it,
    on channels with such a thing. ``order`` is what a service's own system wants done
    with the case, ``office`` to whom it is to be handed on: its text is only words,
    while the first line of a person's mail may be an order. ``authentic``: the channel
    can tell whether the sender's address is forged, and it isn't (True) or may be
    (False); None if the channel can't. ``classification`` is under what the channel's
    own system has filed it: the class in the city's titolario (``VI.5``), an Open311
    service code.
    """

    id: MessageId
    channel: ChannelId
    external_id: str
    sender: Address
    sent_at: datetime
    received_at: datetime
    sender_name: str = ""
    aliases: tuple[Address, ...] = ()
    stable: bool = False
    text: str = ""
    menu: Menu | None = None
    choice: str = ""
    attachments: tuple[Attachment, ...] = ()
    location: Location | None = None
    amends: str = ""
    amendment: Amendment | None = None
    references: tuple[str, ...] = ()
    subject: str = ""
    order: Order | None = None
    office: str = ""
    classification: str = ""
    authentic: bool | None = None
    automatic: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """A person's addresses have become others: still the same contact.

    ``id`` is the id of the item that told it. Answers go to the first of the new ones;
    ``stable`` as of a `Message`.
    """

    id: InboxId
    channel: ChannelId
    old: tuple[Address, ...]
    new: tuple[Address, ...]
    stable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person, by any of their addresses."""

    id: ContactId
    name: str = ""
    addresses: tuple[Address, ...] = ()


class Action(IntEnum):
    """What a verdict asks for; the strictest of several wins."""

    PASS = 0
    FLAG = 1
    HOLD = 2
    REJECT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of the message's text, in characters: ``text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One moderator's judgement of one message."""

    action: Action
    rule: str
    reason: str
    source: str
    evidence: tuple[Span, ...] = ()
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask the citizen, and how long to wait for what they choose."""

    text: str
    menu: Menu
    wait: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """A piece of the message's text that spoke for a service, and how strongly."""

    start: int
    end: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another service that was thought of, and its score as its layer counts."""

    service: ServiceId
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Why a message went to a service; holds nothing of its text but where it stands.

    ``layer`` says who decided (``rules``, ``model``, ``choice``, ``question``),
    ``rule`` which rule by its name, ``conditions`` what held besides words, and
    ``alternatives`` who else was thought of, best first.
    """

    layer: str
    rule: str = ""
    conditions: tuple[str, ...] = ()
    clues: tuple[Clue, ...] = ()
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which competent service, why, by whom, with what confidence (0 to 1).

    ``grounds`` explain it in detail, for staff. With a ``question`` the citizen of a
    new case is asked first, where the channel can show a menu; the service gets the
    case if they don't choose in time. ``chosen``: the citizen has chosen this service
    from the menu.
    """

    service: ServiceId
    reason: str
    source: str
    confidence: float = 1.0
    question: Question | None = None
    chosen: bool = False
    grounds: Grounds | None = None


class CaseStatus(StrEnum):
    """Where a case stands; `gateway.states` says how it comes from one to another.

    NEW: its service does not have it yet. WAITING is for what the citizen chooses.
    """

    NEW = "new"
    WAITING = "waiting"
    ASSIGNED = "assigned"
    ANSWERED = "answered"
    CLOSED = "closed"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One matter between a citizen and a service."""

    id: CaseId
    number: str
    service: ServiceId
    status: CaseStatus
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """How a case stands, and the citizen's ``item`` in it as it was received.

    ``last_message_at`` is when its citizen last wrote; ``deadline_at`` by when it must
    be answered, None once it is. ``untold``: something that is said to the citizen on
    the channel is still on its way, as the answer that closed it.
    """

    number: str
    service: ServiceId
    status: CaseStatus
    opened_at: datetime
    last_message_at: datetime
    closed_at: datetime | None
    deadline_at: datetime | None
    untold: bool
    item: Inbound

    @property
    def ended(self) -> bool:
        """Whether it is closed, and the citizen has got all that was said."""
        return self.status is CaseStatus.CLOSED and not self.untold


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosure:
    """A stored attachment on its way out: a local file that must not be changed.

    ``voice`` and ``seconds`` as of an `Attachment`. ``url`` is a link to the file that
    works until the end of ``last_day``, for what a channel or connector can't carry; ""
    if the city has no links.
    """

    name: str
    media_type: str
    size: int
    sha256: str
    path: Path
    voice: bool = False
    seconds: float | None = None
    url: str = ""
    last_day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One delivery to a citizen, as a channel sends it.

    ``delivery_id`` and ``created_at`` are the same at every attempt: derive from them
    whatever lets the other side recognise a repetition. ``maybe_sent``: an earlier
    attempt ended without an answer; ``last_code`` is what the last one failed with.
    ``quote`` is the foreign id of the citizen's message that this answers. ``purpose``
    is ``answer``, ``notice`` (we have it, under this number), ``rejection``,
    ``location``, ``campaign`` or ``enclosure:<n>``; ``last_inbound_at`` when the
    citizen last wrote in this conversation: some channels take no answer later on, or
    only as a template, and that if ``may_template``.
    """

    delivery_id: DeliveryId
    attempt: int
    created_at: datetime
    to: Address
    text: str
    purpose: str = ""
    last_inbound_at: datetime | None = None
    enclosures: tuple[Enclosure, ...] = ()
    location: Location | None = None
    menu: Menu | None = None
    quote: str | None = None
    subject: str = ""
    case_number: str = ""
    maybe_sent: bool = False
    last_code: str = ""
    may_template: bool = True


class Urgency(StrEnum):
    """Why a message is handed over once more: its deadline is near, or has passed."""

    REMINDER = "reminder"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One delivery to a service, as a connector hands it over.

    As with `Outgoing`, ``delivery_id`` and ``created_at`` never change. ``missing``
    names attachments that could not be had (yet), for the office to read. ``addition``:
    the office has had the case before; ``follow_up``: this very message too, without
    the files that have come by now. ``internal``: an office wrote it, for an office.
    """

    delivery_id: DeliveryId
    attempt: int
    created_at: datetime
    service: ServiceId
    service_name: str
    case: Case
    message: Message
    enclosures: tuple[Enclosure, ...] = ()
    missing: tuple[str, ...] = ()
    addition: bool = False
    follow_up: bool = False
    maybe_sent: bool = False
    urgency: Urgency | None = None
    internal: bool = False


class DeliveryState(StrEnum):
    """Where a delivery stands; SENDING and UNKNOWN mean: the other side may have it.

    PASSED_ON: the service's next connector, or another address of the citizen, has a
    delivery of its own in its place.
    """

    PENDING = "pending"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    PASSED_ON = "passed_on"
    DEAD = "dead"


class ReceiptStatus(StrEnum):
    """The other side's word on a delivery."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the other side has promised to say of a delivery, and by when.

    Unless the last word has come ``within`` this time after the receipt's own, the
    delivery becomes a dead letter; after ``warn_after`` without another receipt, the
    operators are warned. ``recipients`` each get a word of their own (0: none follows;
    None: as many as before).
    """

    within: timedelta
    warn_after: timedelta | None = None
    recipients: int | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The other side's word on one of our deliveries.

    ``delivery_id`` is our own id, where the other side returns it; ``external_id`` the
    other side's id of what we sent. At least one of the two is set. A ``retryable``
    failure is worth another attempt. ``reference`` is one more id by which answers may
    refer to the delivery. ``recipient`` is whom it is about, where a delivery has
    several: it is delivered once all have it, and failed once one can't have it.
    ``expects`` is what must follow. ``by_template``: it could only be said so.
    """

    status: ReceiptStatus
    at: datetime
    external_id: str = ""
    delivery_id: DeliveryId | None = None
    code: str = ""
    text: str = ""
    retryable: bool = False
    reference: str = ""
    recipient: str = ""
    expects: Expectation | None = None
    by_template: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a channel can show, and how it wants it.

    ``split`` makes several messages of a text that is too long for one. With
    ``files_apart`` each file is a message of its own (`Outgoing` without text), with
    ``locations`` a point on the map can be one. ``menus``: one can choose from a menu.
    ``mirrors_blocks``: its provider has a list of blocked people, too. With
    ``daily_notice`` a citizen gets one automatic notice in 24 hours at most, so that
    two machines that write to each other fall silent. ``window``: for so long after the
    citizen's last message anything may be said, and then templates only.
    """

    split: Callable[[str], Sequence[str]] = lambda text: (text,)
    files_apart: bool = False
    locations: bool = False
    menus: bool = False
    mirrors_blocks: bool = False
    daily_notice: bool = False
    window: timedelta | None = None


class Semantics(Enum):
    """How a target treats a repetition.

    KEYED: it takes our key, a repetition has no second effect.
    QUERYABLE: it can be asked whether it has a delivery.
    BLIND: neither; a repetition is recognisable by its id only.
    """

    KEYED = "keyed"
    QUERYABLE = "queryable"
    BLIND = "blind"


class HealthStatus(StrEnum):
    """How a part feels."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a part feels, and why."""

    status: HealthStatus
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the audit trail; ``data`` holds ids, nothing personal."""

    action: str
    subject: str
    actor: str
    data: Mapping[str, object] = field(default_factory=dict)
