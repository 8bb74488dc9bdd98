"""Citizens, offices, staff and two nodes, on a real database under a virtual clock.

Every unit of work is the daemon's own. What a node took and has not recorded yet may
be recorded at any later time, or never: whoever looks ahead or crashes does so here.
The truth about who is who is kept apart from the database: in what was said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, text

from gateway import audit, giving_up, inbox, jobs, ladder, outbox
from gateway.answers import Answer
from gateway.cases import Joining, Numbering
from gateway.city import City
from gateway.errors import StaleClaim
from gateway.inbox import Arrival, store_arrivals
from gateway.jobs import Claim, ClaimRequest
from gateway.model import (
    Address,
    Assignment,
    ChannelId,
    Contact,
    ContactId,
    Item,
    Manners,
    Message,
    MessageId,
    MessageState,
    Receipt,
    ReceiptStatus,
    ServiceId,
)
from gateway.outbox import Dead, Parcel, Sent
from gateway.outcome import Outcome
from gateway.records import Recorder
from gateway.store import schema
from gateway.targets import main_of, queue_of, service_of
from gateway.texts import Texts

CHANNELS = ("phone", "letter")
SERVICES = ("urp", "strade")
QUEUES = [queue_of(f"channel:{c}") for c in CHANNELS]
QUEUES += [queue_of(f"service:{s}") for s in SERVICES]
NUMBER = re.compile(r"URP-\d{4}-\d{6}")
WORDS = re.compile(r"risposte via (\w+) (sì|no)")
TOKEN = re.compile(r"\[([a-z]+)\d+\]")
LEASE = timedelta(minutes=5)

CITY = City(
    texts=Texts("it"),
    services={ServiceId(each): each.upper() for each in SERVICES},
    numbering=Numbering(pattern="URP-{year}-{number:06d}", timezone=UTC),
    joining=Joining(within=timedelta(hours=1), reopen=timedelta(days=5), sure=0.9),
    acknowledge=True,
    ask_satisfaction=True,
    wait_for_attachments=timedelta(minutes=15),
    manners={ChannelId("phone"): Manners(), ChannelId("letter"): Manners()},
)


class Broken(AssertionError):
    """A promise is."""


@dataclass
class Clock:
    """Time that passes when a rule says so: over the city's new year, too."""

    at: datetime = datetime(2026, 12, 31, 20, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


@dataclass(frozen=True)
class Said:
    """What somebody is about to say, and how."""

    who: str
    channel: str
    text: str
    references: tuple[str, ...] = ()
    subject: str = ""
    choice: str = ""
    service: str = "urp"
    sure: float = 0.5


@dataclass(frozen=True)
class Handed:
    """What an office has in hand: whose words, under which number and id."""

    service: str
    external_id: str
    author: str
    number: str


@dataclass
class Node:
    """A daemon: what it took, and has not recorded."""

    name: str
    taken: list[tuple[Claim, Any]] = field(default_factory=list)
    parcels: list[tuple[Parcel, bool]] = field(default_factory=list)


class Town:
    """The world of one run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = Clock()
        self.recorder = Recorder(CITY)
        self.nodes = (Node("a"), Node("b"))
        self.said: dict[str, Said] = {}
        self.sent_ids: list[str] = []
        self.handed: list[Handed] = []
        self.owners: dict[str, str] = {}
        self.numbers: dict[str, str] = {}
        self.stale = 0
        self.agreed: set[tuple[str, str]] = set()
        self.elsewhere = 0
        self.told: defaultdict[str, int] = defaultdict(int)
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                names = ", ".join(f'"{t.name}"' for t in schema.metadata.sorted_tables)
                connection.execute(text(f"TRUNCATE {names} CASCADE"))
            else:
                schema.metadata.drop_all(connection)
                schema.metadata.create_all(connection)
            audit.begin(connection)

    def run(self, work: Callable[[Connection], Any]) -> Any:
        """Run a unit of work as the store does."""
        with self.engine.connect() as connection:
            at = self.clock.now()
            connection.info.update(clock=self.clock, now=at, events=[])
            with connection.begin():
                found = work(connection)
                audit.seal(connection)
            return found

    def arrive(self, said: Said) -> None:
        """Let something come in: stored before anything else."""
        external_id = f"x{len(self.said)}"
        self.said[external_id] = said
        sender = f"{said.channel}:{said.who}"
        items = (Item(external_id=external_id, sender=sender),)
        arrival = Arrival(ChannelId(said.channel), external_id.encode(), {}, items)
        self.run(lambda c: store_arrivals(c, [arrival]))

    def take(self, node: Node) -> None:
        """Claim what came in, and look up what is looked up before it is recorded."""
        request = ClaimRequest(
            queue=inbox.PROCESS, owner=node.name, limit=3, lease=LEASE
        )

        def work(connection: Connection) -> list[tuple[Claim, Any]]:
            ((*claims,),) = jobs.claim(connection, [request])
            items = inbox.load(connection, [claim.subject for claim in claims])
            return [
                (claim, self._decided(connection, claim, item))
                for claim, item in zip(claims, items, strict=True)
            ]

        node.taken += self.run(work)

    def _decided(self, connection: Connection, claim: Claim, item: Any) -> Any:
        said = self.said[item.external_id]
        message = Message(
            id=MessageId(item.id),
            channel=ChannelId(said.channel),
            external_id=item.external_id,
            sender=Address(said.channel, said.who),
            sent_at=item.original.received_at,
            received_at=item.original.received_at,
            text=said.text,
            references=said.references,
            subject=said.subject,
            choice=said.choice,
            authentic=True,
        )
        if said.who not in SERVICES:
            return _outcome(message, said)
        found = outbox.find_referred(connection, said.references)
        if found is None:
            numbers = self.recorder.numbers_in(said.subject)
            found = outbox.find_numbered(connection, numbers)
        if found is None or service_of(found.target) != said.who:
            return None
        return Answer(
            claim=claim,
            message=message,
            referred=found,
            state=MessageState.PROCESSED,
            reason="",
        )

    def record(self, node: Node) -> None:
        """Record all that a node holds; what is no longer its business is dropped."""
        taken, node.taken = node.taken, []
        outcomes = [(c, d) for c, d in taken if isinstance(d, Outcome)]
        answers = [d for _, d in taken if isinstance(d, Answer)]
        nothing = [c for c, d in taken if d is None]
        self._record(self.recorder.record_outcomes, outcomes)
        self._record(self.recorder.record_answers, answers)
        self._record(jobs.finish, nothing)

    def _record(self, work: Callable[..., Any], items: list[Any]) -> None:
        """Record together; if that fails, one by one, as the store does."""
        if not items:
            return
        try:
            self.run(lambda c: work(c, items))
            self._note_words(items)
        except StaleClaim:
            if len(items) == 1:
                self.stale += 1
                return
            for each in items:
                self._record(work, [each])

    def _note_words(self, items: list[Any]) -> None:
        """Keep in mind who agreed to be answered where, as it was recorded."""
        for each in items:
            message = each[1].message if isinstance(each, tuple) else None
            found = WORDS.fullmatch(message.text) if message is not None else None
            if found is not None:
                way = (message.sender.value, f"channel:{found[1]}")
                (self.agreed.add if found[2] == "sì" else self.agreed.discard)(way)

    def carry(self, node: Node) -> None:
        """Claim what is to be delivered."""
        requests = [
            ClaimRequest(queue=queue, owner=node.name, limit=2, lease=LEASE)
            for queue in QUEUES
        ]
        found = self.run(lambda c: outbox.claim_parcels(c, requests))
        claimed = [parcel for each in found for parcel in each]
        self._give_up([parcel for parcel in claimed if parcel.lapsed])
        going = [parcel for parcel in claimed if not parcel.lapsed]
        for each in going:
            elsewhere = each.rung == ladder.OTHER_ADDRESS
            if elsewhere and (each.to.value, each.target) not in self.agreed:
                raise Broken(f"{each.to.value} has not agreed to {each.target}")
        node.parcels += [(parcel, False) for parcel in going]

    def hand_over(self, node: Node) -> None:
        """Let the other side have what a node carries; a repetition may come again."""
        for parcel, had in node.parcels:
            if not had:
                self._effect(parcel)
        node.parcels = [(parcel, True) for parcel, _ in node.parcels]

    def note_sent(self, node: Node) -> None:
        """Record what the other side has."""
        sent = [_sent(p, self.clock.now()) for p, had in node.parcels if had]
        node.parcels = [(p, had) for p, had in node.parcels if not had]
        self._record(outbox.record_sent, sent)

    def refuse(self, node: Node) -> None:
        """Let the channels take none of the answers that a node carries."""
        refused = [p for p, had in node.parcels if not had and _to_citizen(p)]
        node.parcels = [(p, had) for p, had in node.parcels if p not in refused]
        self._give_up(refused)

    def _give_up(self, parcels: list[Parcel]) -> None:
        dead = [
            Dead(parcel=p, code="refused", reason="", doubtful=p.maybe_sent)
            for p in parcels
        ]
        self._record(partial(giving_up.give_up, rungs=CITY.ladder), dead)

    def _effect(self, parcel: Parcel) -> None:
        if parcel.target.startswith("channel:"):
            self._read_by_citizen(parcel)
            return
        author = parcel.message.sender.value
        if author in SERVICES:
            return  # an office's own note for the next
        number = parcel.case.number if parcel.case else ""
        if self.owners.setdefault(number, author) != author:
            raise Broken(f"{author}'s words go out under {number} of another")
        service = service_of(parcel.target)
        self.handed.append(Handed(service, _their_id(parcel), author, number))

    def _read_by_citizen(self, parcel: Parcel) -> None:
        """Look whether somebody reads what is another's."""
        reader, said = parcel.to.value, parcel.message.text
        self.elsewhere += parcel.rung == ladder.OTHER_ADDRESS
        self.told[reader] += 1
        self.sent_ids.append(_their_id(parcel))
        for owner in TOKEN.findall(said):
            if owner != reader:
                raise Broken(f"{reader} reads an answer to {owner}: {said}")
        numbers = NUMBER.findall(said)
        if parcel.case:
            numbers.append(parcel.case.number)
        for number in numbers:
            owner = self.owners.get(number, reader)
            if owner != reader and "Non ci risulta" not in said:
                raise Broken(f"{reader} reads of {number}, which is {owner}'s: {said}")
            if "Non ci risulta" not in said:
                self.owners[number] = reader

    def forget(self, node: Node) -> None:
        """Let a node crash: its leases run out, others take its work."""
        node.taken, node.parcels = [], []
        self.recover()

    def recover(self) -> None:
        """Let every lease run out; who had them may still try to record."""
        self.clock.at += 2 * LEASE
        self.run(jobs.recover)

    def pass_time(self, minutes: int) -> None:
        self.clock.at += timedelta(minutes=minutes)
        self.run(jobs.wake_due)

    def settle(self) -> None:
        """Let one node work until nothing is left to be done."""
        node = self.nodes[0]
        for each in self.nodes:
            self.forget(each)
        for _ in range(60):
            self.pass_time(1)
            self.take(node)
            self.record(node)
            self.carry(node)
            self.hand_over(node)
            self.note_sent(node)
            if not self.run(lambda c: c.execute(schema.job.select()).all()):
                return
        raise Broken("work is left open")


def _outcome(message: Message, said: Said) -> Outcome:
    """Return what the plugins decide; one person on both channels, by their name."""
    return Outcome(
        message=message,
        state=MessageState.HELD if "held" in said.text else MessageState.PROCESSED,
        reason="",
        verdicts=(),
        assignment=Assignment(
            service=ServiceId(said.service),
            reason="r",
            source="rules",
            confidence=said.sure,
        ),
        contact=Contact(id=ContactId(said.who), name=said.who),
    )


def _to_citizen(parcel: Parcel) -> bool:
    return parcel.target.startswith("channel:")


def _their_id(parcel: Parcel) -> str:
    return f"<{main_of(parcel.target)}-{parcel.id}>"


def _sent(parcel: Parcel, at: datetime) -> Sent:
    receipt = Receipt(status=ReceiptStatus.SENT, at=at, external_id=_their_id(parcel))
    return Sent(parcel=parcel, receipt=receipt)
