"""The unified stream: parse → enrich → moderate → route → record.

The merge rules are pure functions; the record is one unit of work. A delivery's own
way is `gateway.courier`, an attachment's `gateway.fetch`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection
from structlog.contextvars import bound_contextvars

from gateway import blocks, contacts, inbox, jobs, outbox, receipts
from gateway.answers import Answer
from gateway.channel import Channel
from gateway.connector import Connector
from gateway.errors import Overloaded, PayloadError
from gateway.fallback import Successors
from gateway.host import PluginHost
from gateway.jobs import Burial, Claim, ClaimRequest
from gateway.ladder import Ladder
from gateway.metrics import Metrics
from gateway.model import (
    Action,
    Address,
    AddressChange,
    Assignment,
    ChannelId,
    Inbound,
    ItemKind,
    Message,
    MessageState,
    Receipt,
    ServiceId,
    Verdict,
)
from gateway.outbox import Referred
from gateway.outcome import Outcome
from gateway.records import DEFAULT, Recorder
from gateway.targets import SERVICE, service_of
from gateway.workers import Crew, bury_all

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A claimed item, to be read."""

    claim: Claim
    inbound: Inbound


def claim_arrived(
    connection: Connection, requests: Sequence[ClaimRequest]
) -> list[list[Arrived]]:
    """Claim stored items together with their originals."""
    claims = jobs.claim(connection, requests)
    ids = [claim.subject for each in claims for claim in each]
    items = iter(inbox.load(connection, ids)) if ids else iter(())
    return [
        [Arrived(claim=claim, inbound=next(items)) for claim in each] for each in claims
    ]


def apply_claimed(
    connection: Connection,
    pairs: Sequence[tuple[Claim, Receipt]],
    successors: Successors | None = None,
    rungs: Ladder | None = None,
) -> list[None]:
    """Finish items that were receipts, and apply what they say.

    One that names a delivery of ours that isn't is forged or too late: staff see it.
    """
    strange = receipts.strange(connection, [receipt for _, receipt in pairs])
    known = [pair for pair in pairs if pair[1].delivery_id not in strange]
    burials = [
        Burial(claim=claim, code="no_such_delivery", reason="names no delivery of ours")
        for claim, receipt in pairs
        if receipt.delivery_id in strange
    ]
    if burials:
        jobs.bury(connection, burials)
    if known:
        jobs.finish(connection, [claim for claim, _ in known])
        items = [claim.subject for claim, _ in known]
        said = [receipt for _, receipt in known]
        receipts.apply(connection, said, items, successors, rungs)
    return [None] * len(pairs)


def move_claimed(
    connection: Connection,
    pairs: Sequence[tuple[Claim, AddressChange]],
    mirrors: Collection[ChannelId] = (),
) -> list[set[str]]:
    """Finish items that told a new address, and note whose it is.

    Returns the queues with new work: a blocked contact's providers are told.
    """
    jobs.finish(connection, [claim for claim, _ in pairs])
    moved = [contacts.change_address(connection, change) for _, change in pairs]
    return [blocks.follow(connection, each, mirrors) for each in moved]


def strictest(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict that wins: the strictest, of equals the first."""
    return max(verdicts, key=lambda verdict: verdict.action, default=None)


def state_of(verdicts: Sequence[Verdict]) -> tuple[MessageState, str]:
    """Return what verdicts do to a message, and why."""
    winner = strictest(verdicts)
    if winner is None or winner.action < Action.HOLD:
        return MessageState.PROCESSED, ""
    if winner.action is Action.HOLD:
        return MessageState.HELD, f"{winner.rule}: {winner.reason}"
    return MessageState.REJECTED, winner.reason


class Decider:
    """Asks the plugins about a message; changes nothing."""

    def __init__(self, host: PluginHost, default_service: ServiceId) -> None:
        """Ask ``host``; what nobody routes goes to ``default_service``."""
        self._host = host
        self._default = default_service

    async def decide(self, message: Message) -> Outcome:
        """Enrich, moderate, route; faults hold, skip or fall back."""
        message, flags = await self._host.enrich(message)
        if flags:
            message = replace(message, flags=(*message.flags, *flags))
        verdicts = await self._host.moderate(message)
        state, reason = state_of(verdicts)
        if message.automatic and state is MessageState.PROCESSED:
            state, reason = MessageState.HELD, "automatic mail"
        return Outcome(
            message=message,
            state=state,
            reason=reason,
            verdicts=tuple(verdicts),
            assignment=await self._host.route(message) or self._by_default(),
            contact=await self._host.identify(message),
        )

    def _by_default(self) -> Assignment:
        return Assignment(
            service=self._default,
            reason="no rule matched",
            source=DEFAULT,
            confidence=0.0,
        )


class Pipeline:
    """Takes stored items through the plugins and records what they decide."""

    def __init__(  # noqa: PLR0913 (wired once, in the composition root)
        self,
        crew: Crew,
        decider: Decider,
        recorder: Recorder,
        metrics: Metrics,
        *,
        channels: Mapping[ChannelId, Channel[Any]],
        connectors: Mapping[ServiceId, Sequence[Connector[Any]]],
        successors: Successors | None = None,
    ) -> None:
        """Run the stream of one gateway."""
        self._crew = crew
        self._decider = decider
        self._recorder = recorder
        self._metrics = metrics
        self._channels = channels
        self._connectors = connectors
        # One object: units of work are batched by it.
        self._move = partial(move_claimed, mirrors=recorder.mirrors)
        self._apply = partial(
            apply_claimed, successors=successors, rungs=recorder.ladder
        )

    async def handle(self, arrived: Arrived) -> None:
        """Process one item."""
        with bound_contextvars(message=arrived.inbound.id):
            await self._handle(arrived)

    async def _handle(self, arrived: Arrived) -> None:
        started = time.perf_counter()
        if arrived.inbound.kind is ItemKind.POISON:
            await self._bury(arrived, "unreadable", "no part of it could be read")
            return
        claim, read = arrived.claim, await self._read(arrived)
        if isinstance(read, Receipt):
            await self._crew.store.run_batched(self._apply, (claim, read))
        elif isinstance(read, AddressChange):
            self._wake(await self._crew.store.run_batched(self._move, (claim, read)))
        elif read is not None and read.sender.scheme == SERVICE:
            await self._hear(arrived, read)
        elif read is not None:
            await self._process(claim, read)
        self._metrics.stage.labels("process").observe(time.perf_counter() - started)

    async def _read(self, arrived: Arrived) -> Message | Receipt | AddressChange | None:
        """Let the channel read an item; what can't be read is kept and shown."""
        channel = self._channels.get(arrived.inbound.channel)
        if channel is None:
            await self._bury(arrived, "no_channel", "its channel is not configured")
            return None
        try:
            return await channel.read(arrived.inbound)
        except PayloadError as error:
            await self._bury(arrived, error.code, str(error))
        except Overloaded:
            raise
        except Exception as error:
            log.exception("parser_failed", channel=arrived.inbound.channel)
            await self._bury(arrived, "parser_failed", type(error).__name__)
        return None

    async def _bury(self, arrived: Arrived, code: str, reason: str) -> None:
        burial = Burial(claim=arrived.claim, code=code, reason=reason)
        await self._crew.store.run_batched(bury_all, burial)
        channel = arrived.inbound.channel
        log.warning("item_dead", channel=channel, item=arrived.inbound.id, code=code)

    async def _process(self, claim: Claim, message: Message) -> None:
        referred = await self._referred(message)
        if referred is not None:
            answer = self._judge_answer(claim, message, referred)
            queues = await self._crew.store.run_batched(
                self._recorder.record_answers, answer
            )
        else:
            outcome = await self._decider.decide(message)
            queues = await self._crew.store.run_batched(
                self._recorder.record_outcomes, (claim, outcome)
            )
        self._wake(queues)

    async def _hear(self, arrived: Arrived, message: Message) -> None:
        """Let a service's own system speak of a case that the service was handed."""
        service, number = ServiceId(message.sender.value), message.subject
        found = await self._crew.store.read(
            lambda connection: outbox.find_handed(connection, service, number)
        )
        if found is None:
            reason = f"{service} was never handed a case of that number"
            await self._bury(arrived, "not_its_case", reason)
            return
        answer = self._judge_answer(arrived.claim, message, found)
        self._wake(
            await self._crew.store.run_batched(self._recorder.record_answers, answer)
        )

    def _wake(self, queues: Collection[str]) -> None:
        for queue in queues:
            self._crew.wakeups.wake(queue)

    async def _referred(self, message: Message) -> Referred | None:
        """Return what a message answers, if it is for a service to answer."""
        if message.references:
            references = message.references
            found = await self._crew.store.read(
                lambda connection: outbox.find_referred(connection, references)
            )
            if found is not None and found.target.startswith(f"{SERVICE}:"):
                return found
        return await self._numbered(message)

    async def _numbered(self, message: Message) -> Referred | None:
        """Return the case that a service names by its number alone."""
        numbers = self._recorder.numbers_in(message.subject)
        if not numbers:
            return None
        found = await self._crew.store.read(
            lambda connection: outbox.find_numbered(connection, numbers)
        )
        if found is None or not self._may_answer(_service_of(found), message.sender):
            return None
        return found

    def _judge_answer(self, claim: Claim, message: Message, to: Referred) -> Answer:
        """Let only the service itself speak for the service."""
        service = _service_of(to)
        state, reason = MessageState.HELD, ""
        if message.automatic:
            reason = "automatic mail"
        elif not self._may_answer(service, message.sender):
            reason = f"sender may not answer for {service}"
        elif message.authentic is False:
            reason = "nothing proves that the sender is no forgery"
        elif not to.proven and not message.authentic:
            reason = "names only a number, and nothing proves who its sender is"
        else:
            state = MessageState.PROCESSED
        return Answer(
            claim=claim,
            message=_without_subject(message),
            referred=to,
            state=state,
            reason=reason,
        )

    def _may_answer(self, service: ServiceId, sender: Address) -> bool:
        connectors = self._connectors.get(service, ())
        return any(connector.may_answer(sender) for connector in connectors)


def _without_subject(message: Message) -> Message:
    """Return what an office says: what heads its text is for us to find the case."""
    text = message.text
    if message.subject and text.partition("\n")[0] == message.subject:
        text = text.removeprefix(message.subject).lstrip()
    return replace(message, text=text)


def _service_of(referred: Referred) -> ServiceId:
    return service_of(referred.target)
