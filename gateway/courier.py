"""Hands parcels over to their targets and draws the conclusions.

An outcome may be unknown (no answer, a crash between send and record). Then a *keyed*
target is simply sent to again, a *queryable* one is asked first, and for a *blind* one
we wait a while for a receipt, then send again, recognisably the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from gateway import jobs, ladder, outbox
from gateway.breaker import Breaker, BreakerState
from gateway.channel import Line
from gateway.errors import DeliveryError
from gateway.failpoints import hit
from gateway.lines import Lines
from gateway.metrics import Metrics
from gateway.model import DeliveryState, Receipt, Semantics
from gateway.outbox import Again, Dead, Parcel, Passed, Sent
from gateway.rates import Limit
from gateway.store import BatchWork
from gateway.targets import queue_of
from gateway.workers import Crew

log = structlog.get_logger()

T = TypeVar("T")

_AT_ONCE = 500
"""How many of those that wait for a target are brought forward in one transaction."""

PATIENCE_SECONDS = 120.0
"""How long a parcel waits in a line before it is put aside, out of its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The target that gets what could not be delivered, at the latest ``after`` a time.

    That is counted from when the delivery could first go out.
    """

    to: str
    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where parcels go: ``service:strade`` or ``channel:urp``.

    ``limits`` says in which flows a parcel has to wait for its turn, ``line`` behind
    whom. A ``fallback`` stands in for it.
    """

    name: str
    semantics: Semantics
    grace: timedelta
    limits: Callable[[Parcel], Sequence[Limit]] | None = None
    line: Callable[[Parcel], Line | None] | None = None
    send: Callable[[Parcel], Awaitable[Receipt]]
    resolve: Callable[[Parcel], Awaitable[Receipt | None]]
    fallback: Fallback | None = None


class Courier:
    """Delivers to one target."""

    def __init__(  # noqa: PLR0913 (wired once, in the composition root)
        self,
        target: Target,
        crew: Crew,
        breaker: Breaker,
        metrics: Metrics,
        *,
        give_up: BatchWork[Dead, set[str] | None],
        max_age: timedelta,
        timeout: float,
    ) -> None:
        """Deliver to ``target``; give a parcel up at ``max_age``, by ``give_up``."""
        self._target = target
        self._crew = crew
        self._breaker = breaker
        self._metrics = metrics
        fallback = target.fallback
        self._max_age = min(max_age, fallback.after) if fallback else max_age
        self._timeout = timeout
        self._up = give_up
        self.lines = Lines()

    async def handle(self, parcel: Parcel) -> None:
        """Deliver one parcel, or put it aside, and record which."""
        with bound_contextvars(delivery=parcel.id, message=parcel.message.id):
            await self._handle(parcel)

    async def _handle(self, parcel: Parcel) -> None:
        if not outbox.open_(parcel):
            await self._crew.store.run(lambda c: jobs.finish(c, [parcel.claim]))
        elif outbox.strayed(parcel):
            await self._crew.store.run_batched(outbox.record_strayed, parcel)
            self._count("withdrawn")
        elif parcel.lapsed:
            await self._give_up(_lapsed(parcel))
        elif self._must_wait(parcel):
            error = DeliveryError(
                "crashed", "an attempt was cut off", retryable=True, unknown=True
            )
            await self._again(parcel, error)
        elif self._target.fallback is not None and self._is_vain(parcel):
            await self._leave_alone(parcel, self._target.fallback)
        elif not await self._turn_came(parcel):
            await self._put_back(parcel)
        else:
            line = self._target.line(parcel) if self._target.line else None
            patience = min(PATIENCE_SECONDS, self._timeout * 4)
            stopping = self._crew.stopping
            async with self.lines.turn(line, patience, stopping) as came:
                await (self._deliver(parcel) if came else self._put_back(parcel))

    def _is_vain(self, parcel: Parcel) -> bool:
        """Tell whether the fallback's time has come, or the target is down."""
        tried = parcel.code not in {"", outbox.TARGET_DOWN} and not parcel.maybe_sent
        over = self._crew.clock.now() >= self._over(parcel)
        return not self._breaker.allows() or (tried and over)

    def _over(self, parcel: Parcel) -> datetime:
        """Return when a parcel's time is over.

        For a target with a fallback it begins when the parcel could first go out: what
        waited for a choice of the citizen has not waited for the target.
        """
        fallback = self._target.fallback
        begun = parcel.begun_at if fallback else parcel.created_at
        return begun + self._max_age

    async def _turn_came(self, parcel: Parcel) -> bool:
        """Wait for the parcel's turn, if that is soon; tell whether it has come.

        Its lane waits too, so that order is kept.
        """
        if parcel.not_before is None:
            return True
        left = (parcel.not_before - self._crew.clock.now()).total_seconds()
        if left <= 0:
            return True
        if left > self._timeout / 2:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._crew.stopping.wait()
        return not self._crew.stopping.is_set()

    async def _put_back(self, parcel: Parcel) -> None:
        """Put a parcel aside without an attempt: until its turn, or the next start."""
        now = self._crew.clock.now()
        state = DeliveryState.UNKNOWN if parcel.maybe_sent else DeliveryState.PENDING
        again = Again(
            parcel=parcel,
            state=state,
            due_at=max(now, parcel.not_before or now),
            code=parcel.code,
        )
        await self._crew.store.run_batched(outbox.record_again, again)

    async def _leave_alone(self, parcel: Parcel, fallback: Fallback) -> None:
        """Wait with a parcel while its target is down, or let the fallback have it."""
        now, over = self._crew.clock.now(), self._over(parcel)
        if over <= now:
            passed = Passed(
                parcel=parcel,
                to=fallback.to,
                code=parcel.code or outbox.TARGET_DOWN,
                doubtful=parcel.maybe_sent,
            )
            await self._pass_on(passed)
            return
        state = DeliveryState.UNKNOWN if parcel.maybe_sent else DeliveryState.PENDING
        # Who comes first is the probe; if the target is back, the others are woken.
        pause = timedelta(seconds=self._breaker.seconds)
        due_at = min(over, now + max(pause, self._crew.delay(parcel.claim.attempt)))
        again = Again(
            parcel=parcel, state=state, due_at=due_at, code=outbox.TARGET_DOWN
        )
        await self._crew.store.run_batched(outbox.record_again, again)

    async def _pass_on(self, passed: Passed) -> None:
        hit("courier.before_pass_on")
        for queue in await self._crew.store.run_batched(outbox.record_passed, passed):
            self._crew.wakeups.wake(queue)
        log.warning(
            "delivery_passed_on",
            target=self._target.name,
            to=passed.to,
            code=passed.code,
            maybe_twice=passed.doubtful,
        )
        self._count("passed_on")

    def _must_wait(self, parcel: Parcel) -> bool:
        """Tell whether a receipt may still tell us the outcome of a cut-off attempt."""
        return (
            parcel.before is DeliveryState.SENDING
            and self._target.semantics is Semantics.BLIND
            and self._target.grace > timedelta(0)
        )

    async def _deliver(self, parcel: Parcel) -> None:
        was_down = self._breaker.state is not BreakerState.CLOSED
        await self._attempt(parcel)
        if was_down and self._breaker.state is BreakerState.CLOSED:
            await self._wake_waiting()

    async def _wake_waiting(self) -> None:
        """Let those come that wait because the target was down."""
        if self._target.fallback is None:
            return
        woken = _AT_ONCE
        while woken == _AT_ONCE:
            woken = await self._crew.store.run(
                lambda c: outbox.wake_waiting(c, self._target.name, _AT_ONCE)
            )
        self._crew.wakeups.wake(queue_of(self._target.name))

    async def _attempt(self, parcel: Parcel) -> None:
        self._breaker.started()
        try:
            receipt = await self._known(parcel) or await self._send(parcel)
        except DeliveryError as error:
            await self._failed(parcel, error)
            return
        self._breaker.succeeded()
        hit("courier.before_record")
        sent = Sent(parcel=parcel, receipt=receipt)
        await self._crew.store.run_batched(outbox.record_sent, sent)
        self._count("sent")

    async def _known(self, parcel: Parcel) -> Receipt | None:
        if not (parcel.maybe_sent and self._target.semantics is Semantics.QUERYABLE):
            return None
        try:
            return await self._guarded(self._target.resolve(parcel), unknown=True)
        except DeliveryError as error:
            # Whatever kept us from asking: the other side may still have it.
            doubt = copy(error)
            doubt.unknown = True
            raise doubt from error

    async def _send(self, parcel: Parcel) -> Receipt:
        hit("courier.before_send")
        receipt = await self._guarded(self._target.send(parcel), unknown=True)
        hit("courier.after_send")
        return receipt

    async def _guarded(self, call: Awaitable[T], *, unknown: bool) -> T:
        """Await plugin code; whatever goes wrong becomes a `DeliveryError`."""
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except DeliveryError:
            raise
        except TimeoutError:
            text = f"no answer within {self._timeout:g} s"
            raise DeliveryError(
                "timeout", text, retryable=True, unknown=unknown
            ) from None
        except Exception as error:
            log.exception("target_failed", target=self._target.name)
            raise DeliveryError(
                "plugin_failed", type(error).__name__, retryable=True, unknown=unknown
            ) from error

    async def _failed(self, parcel: Parcel, error: DeliveryError) -> None:
        took_it = bool(error.external_id)
        if (error.retryable or error.account) and not took_it:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        if error.retryable and self._crew.clock.now() < self._over(parcel):
            await self._again(parcel, error)
            return
        code = error.code if not error.retryable else "expired"
        fallback = self._target.fallback
        if fallback is not None and not took_it:
            doubtful = error.unknown or self._is_doubtful(parcel)
            passed = Passed(
                parcel=parcel, to=fallback.to, code=error.code, doubtful=doubtful
            )
            await self._pass_on(passed)
            return
        dead = Dead(
            parcel=parcel,
            code=code,
            reason=f"{error.code}: {error.text}",
            external_id=error.external_id,
            doubtful=took_it or error.unknown or self._is_doubtful(parcel),
        )
        await self._give_up(dead)

    async def _give_up(self, dead: Dead) -> None:
        """Let an answer go on up the ladder; what else is given up is for staff."""
        queues = await self._crew.store.run_batched(self._up, dead)
        target = self._target.name
        if queues is None:
            log.warning("delivery_dead", target=target, code=dead.code)
            self._count("dead")
            return
        for queue in queues:
            self._crew.wakeups.wake(queue)
        log.info("answer_went_on", target=target, code=dead.code)
        self._count("passed_on")

    def _is_doubtful(self, parcel: Parcel) -> bool:
        """Tell whether an earlier attempt may have arrived: who is asked, has told."""
        queryable = self._target.semantics is Semantics.QUERYABLE
        return parcel.maybe_sent and not queryable

    async def _again(self, parcel: Parcel, error: DeliveryError) -> None:
        delay = self._crew.delay(parcel.claim.attempt, error.retry_after)
        state = DeliveryState.PENDING
        if error.unknown or parcel.before is DeliveryState.UNKNOWN:
            state = DeliveryState.UNKNOWN
        if error.unknown:
            # Of an earlier doubt we have waited for word before this attempt.
            delay = max(delay, self._target.grace)
        now = self._crew.clock.now()
        due_at = now + delay
        if self._target.fallback is not None:
            # However long the other side wants us to wait.
            due_at = max(now, min(due_at, self._over(parcel)))
        again = Again(
            parcel=parcel,
            state=state,
            due_at=due_at,
            code=error.code,
            held=self._held(parcel, error),
            external_id=error.external_id,
        )
        await self._crew.store.run_batched(outbox.record_again, again)
        self._count("unknown" if error.unknown else "retry")

    def _held(self, parcel: Parcel, error: DeliveryError) -> tuple[Limit, ...]:
        """Return the flows that have to pause, because we were too fast."""
        if not error.too_fast or self._target.limits is None:
            return ()
        return tuple(
            limit
            for limit in self._target.limits(parcel)
            if limit.each_recipient is (error.too_fast == "recipient")
        )

    def _count(self, result: str) -> None:
        self._metrics.deliveries.labels(self._target.name, result).inc()


def _lapsed(parcel: Parcel) -> Dead:
    return Dead(
        parcel=parcel,
        code=ladder.NOT_AGREED,
        reason="the citizen no longer agrees to this address, or has lost it",
        doubtful=parcel.maybe_sent,
    )
