"""No order of arrivals, answers, staff's commands and failures mixes up two citizens.

Nor does any give two numbers to one case, leave a gap, or an illegal state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import judge
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool
from town import CHANNELS, CITY, SERVICES, Broken, Said, Town

from gateway import closing, correcting, duplicates, merging
from gateway.errors import CaseError, NotFound
from gateway.model import ServiceId
from gateway.store import schema
from gateway.store.engine import tune_writer
from gateway.store.migrate import upgrade

LIVES = int(os.environ.get("LIVES", "40"))
STEPS = 50
PEOPLE = ("anna", "bea", "carlo")

people, channels, services = map(st.sampled_from, (PEOPLE, CHANNELS, SERVICES))
which = st.integers(0, 10_000)


class Life(RuleBasedStateMachine):
    """Everybody does as they like."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.town = Town(engine)
        self.count = 0
        for who in PEOPLE[:2]:
            self.report(who, CHANNELS[0], SERVICES[0], 2)

    def token(self, person: str) -> str:
        """Return what only this person may read."""
        self.count += 1
        return f"[{person}{self.count}]"

    def numbers(self) -> list[str]:
        return sorted(self.town.numbers.values())

    def pick(self, place: int) -> str:
        return self.numbers()[place % len(self.numbers())]

    def staff(self, work) -> None:
        """Let staff try; a refusal must change nothing, which the judge sees."""
        try:
            self.town.run(work)
        except (CaseError, NotFound):
            return

    @rule(
        who=people,
        channel=channels,
        service=services,
        word=st.sampled_from(["", "nuova\n", "stato", "held ", "4", "nuova"]),
        sure=st.sampled_from([0.5, 1.0]),
    )
    def say(self, who, channel, service, word, sure):
        text = word if word in {"stato", "4", "nuova"} else word + self.token(who)
        self.town.arrive(Said(who, channel, text, service=service, sure=sure))

    @precondition(lambda self: self.town.numbers)
    @rule(
        who=people,
        channel=channels,
        place=which,
        how=st.sampled_from(["stato", "text", "subject", "rating"]),
    )
    def name(self, who, channel, place, how):
        """Name a case, one's own or another's."""
        number = self.pick(place)
        said = {
            "stato": Said(who, channel, f"stato {number}"),
            "text": Said(who, channel, f"{number} {self.token(who)}"),
            "subject": Said(who, channel, self.token(who), subject=f"Re: {number}"),
            "rating": Said(who, channel, "5", choice=f"rating:{number}:5"),
        }[how]
        self.town.arrive(said)

    @precondition(lambda self: self.town.sent_ids or self.town.said)
    @rule(who=people, channel=channels, place=which)
    def reply(self, who, channel, place):
        """Answer any message, one's own or another's, ours or not."""
        ids = [*self.town.sent_ids, *self.town.said]
        named = (ids[place % len(ids)],)
        self.town.arrive(Said(who, channel, self.token(who), references=named))

    @precondition(lambda self: self.town.handed)
    @rule(
        place=which,
        number=st.booleans(),
        order=st.sampled_from(["", "", "Chiuso.\n", "inoltrato a strade\n"]),
        at_once=st.booleans(),
    )
    def answer(self, place, number, order, at_once):
        """Let an office answer what it has in hand, by its id or number."""
        handed = self.town.handed[place % len(self.town.handed)]
        text = order + self.token(handed.author)
        said = Said(handed.service, "letter", text, (handed.external_id,))
        if number:
            subject = f"R: [{handed.number}]"
            said = Said(handed.service, "letter", text, subject=subject)
        self.town.arrive(said)
        if at_once:
            self.work()

    def work(self, node: int = 0) -> None:
        """Let a node do what there is to do."""
        chosen = self.town.nodes[node]
        self.town.take(chosen)
        self.town.record(chosen)
        self.town.carry(chosen)
        self.town.hand_over(chosen)
        self.town.note_sent(chosen)

    @rule(node=st.integers(0, 1), times=st.integers(1, 3))
    def go_on(self, node, times):
        """Let a node work undisturbed."""
        for _ in range(times):
            self.work(node)

    @rule(who=people, channel=channels, service=services, often=st.integers(1, 3))
    def report(self, who, channel, service, often):
        """Let somebody tell of several things, and an office have them."""
        for _ in range(often):
            text = f"nuova\n{self.token(who)}"
            self.town.arrive(Said(who, channel, text, service=service))
            self.work()

    @rule(node=st.integers(0, 1), done=st.integers(1, 3))
    def process(self, node, done):
        """Let a node read and record; or only read, and record later."""
        chosen = self.town.nodes[node]
        if done != 2:
            self.town.take(chosen)
        if done != 1:
            self.town.record(chosen)

    @rule(node=st.integers(0, 1), done=st.integers(1, 4))
    def deliver(self, node, done):
        """Let a node deliver, or stop half way."""
        chosen = self.town.nodes[node]
        if done > 1 or not chosen.parcels:
            self.town.carry(chosen)
        if done > 1:
            self.town.hand_over(chosen)
        if done > 2:
            self.town.note_sent(chosen)

    @rule(who=people, channel=channels, other=channels, agrees=st.integers(0, 3))
    def agree(self, who, channel, other, agrees):
        """Say where else answers may go; mostly that they may."""
        said = f"risposte via {other} {'sì' if agrees else 'no'}"
        self.town.arrive(Said(who, channel, said))
        self.work()

    @rule(who=people, node=st.integers(0, 1))
    def agree_on_all(self, who, node):
        """Write on each channel, and let answers go on each."""
        for channel in CHANNELS:
            self.town.arrive(Said(who, channel, self.token(who)))
            self.town.arrive(Said(who, channel, f"risposte via {channel} sì"))
            self.work(node)

    @rule(node=st.integers(0, 1), late=st.booleans())
    def refuse(self, node, late):
        """Let channels take no answers; what goes elsewhere may wait there."""
        chosen = self.town.nodes[node]
        self.town.carry(chosen)
        self.town.refuse(chosen)
        if not late:
            self.work(node)

    @precondition(lambda self: self.town.handed)
    @rule(place=which, withdraws=st.booleans())
    def answer_elsewhere(self, place, withdraws):
        """Let an answer go elsewhere; its citizen may say no before it leaves."""
        handed = self.town.handed[place % len(self.town.handed)]
        self.answer(place, number=False, order="", at_once=False)
        self.town.take(self.town.nodes[0])
        self.town.record(self.town.nodes[0])
        self.refuse(0, late=True)
        if withdraws:
            for channel in CHANNELS:
                no = f"risposte via {channel} no"
                self.town.arrive(Said(handed.author, channel, no))
        self.work()

    @rule(node=st.integers(0, 1), crash=st.booleans())
    def fail(self, node, crash):
        """Let a node crash, or sleep and wake up as if nothing had been."""
        if crash:
            self.town.forget(self.town.nodes[node])
        else:
            self.town.recover()

    @rule(who=people)
    def overtake(self, who):
        """Let a node sleep over what it has read, and record after the other did."""
        self.town.arrive(Said(who, CHANNELS[0], self.token(who)))
        slow, _ = self.town.nodes
        self.town.take(slow)
        self.town.recover()
        self.work(1)
        self.town.record(slow)

    @precondition(lambda self: self.town.handed)
    @rule(place=which, other=which, splits=st.booleans())
    def meanwhile(self, place, other, splits):
        """Let staff change a case between the reading of an answer and its record."""
        handed = self.town.handed[place % len(self.town.handed)]
        self.answer(place, number=other % 2 == 0, order="", at_once=False)
        self.town.take(self.town.nodes[0])
        theirs = [n for n in self.numbers() if self.town.owners.get(n) == handed.author]
        into = theirs[other % len(theirs)]
        if splits:
            self.split_off(handed.number, other)
        else:
            self.staff(lambda c: merging.merge(c, handed.number, into, CITY, by="s"))
        self.town.record(self.town.nodes[0])

    @precondition(lambda self: len(self.town.numbers) > 1)
    @rule(one=which, other=which)
    def together(self, one, other):
        """Link two cases and close the main one."""
        number, main = self.pick(one), self.pick(other)
        self.staff(lambda c: duplicates.link(c, number, main, by="staff"))
        self.staff(lambda c: closing.close(c, main, CITY, by="staff"))
        self.work()

    @rule(minutes=st.sampled_from([1, 30, 90, 24 * 60, 6 * 24 * 60]))
    def wait(self, minutes):
        self.town.pass_time(minutes)

    @precondition(lambda self: self.town.numbers)
    @rule(place=which, service=services)
    def move(self, place, service):
        number, to = self.pick(place), ServiceId(service)
        self.staff(lambda c: correcting.move(c, number, to, CITY, by="staff"))

    @precondition(lambda self: self.town.numbers)
    @rule(place=which, opens=st.booleans())
    def close(self, place, opens):
        number, work = self.pick(place), closing.reopen if opens else closing.close
        self.staff(lambda c: work(c, number, CITY, by="staff"))

    @precondition(lambda self: len(self.town.numbers) > 1)
    @rule(one=which, other=which, own=st.integers(0, 3))
    def merge(self, one, other, own):
        """Merge two cases; mostly of one citizen, now and then of any two."""
        number, into = self.pick(one), self.pick(other)
        owner = self.town.owners.get(number)
        theirs = [n for n in self.numbers() if self.town.owners.get(n) == owner]
        if own and theirs:
            into = theirs[other % len(theirs)]
        self.staff(lambda c: merging.merge(c, number, into, CITY, by="staff"))

    @precondition(lambda self: len(self.town.numbers) > 1)
    @rule(one=which, other=which, back=st.integers(0, 3))
    def link(self, one, other, back):
        number, main = self.pick(one), self.pick(other)
        if back == 0:
            self.staff(lambda c: duplicates.unlink(c, number, by="staff"))
        self.staff(lambda c: duplicates.link(c, number, main, by="staff"))

    @precondition(lambda self: self.town.numbers)
    @rule(place=which, first=which, own=st.integers(0, 3))
    def split(self, place, first, own):
        """Split off a message; mostly of that case, now and then of any."""
        self.split_off(self.pick(place), first, own=own)

    def split_off(self, number, first, *, own=True):
        ids = self.town.run(lambda c: _said_in(c, number if own else None))
        if ids:
            some = [ids[first % len(ids)]]
            self.staff(lambda c: merging.split(c, number, some, CITY, by="staff"))

    @rule(place=which)
    def release(self, place):
        """Let a held message or answer go."""
        held = self.town.run(_held)
        if held:
            recorder, one = self.town.recorder, held[place % len(held)]
            self.staff(lambda c: recorder.release(c, one, "staff"))

    @invariant()
    def nothing_is_broken(self):
        if found := self.town.run(lambda c: list(judge.broken(c, self.town))):
            raise Broken("; ".join(found))

    def teardown(self) -> None:
        """Heal everything; then all must have come to where it belongs."""
        self.town.settle()
        if found := self.town.run(lambda c: list(judge.unfinished(c, self.town))):
            raise Broken("; ".join(found))


def _said_in(connection, number: str | None) -> list[str]:
    message, case = schema.message, schema.cases
    statement = message.select().where(message.c.author == "citizen")
    if number is not None:
        statement = statement.join(case, case.c.id == message.c.case_id)
        statement = statement.where(case.c.number == number)
    return [row.id for row in connection.execute(statement.order_by(message.c.id))]


def _held(connection) -> list[str]:
    message = schema.message
    statement = message.select().where(message.c.state == "held")
    return [row.id for row in connection.execute(statement.order_by(message.c.id))]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each database."""
    if request.param == "sqlite":
        made = create_engine("sqlite://", poolclass=StaticPool)
        tune_writer(made, checkpoint_pages=0)
    else:
        url = str(request.getfixturevalue("postgresql"))
        upgrade(url)
        made = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    yield made
    made.dispose()


def live(engine: Engine, lives: int, *phases: Phase) -> None:
    """Run many lives; the same ones each time, unless LIVES asks for more."""
    run_state_machine_as_test(
        partial(Life, engine),
        settings=settings(
            max_examples=lives,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="LIVES" not in os.environ,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            phases=phases or (Phase.generate,),
        ),
    )


def test_nothing_is_ever_mixed_up(engine):
    """Whatever happens, in whatever order."""
    live(engine, LIVES if engine.dialect.name == "sqlite" else LIVES // 4)
