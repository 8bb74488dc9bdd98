"""Which of our requests are open, and what was heard of them: durable, for restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.model import Case, Handover, ServiceId
from gateway.plugin import PluginState
from gateway_delivery.open311.report import Accepted, Earlier, Update


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One open request of ours: of which case, and what was heard of it last.

    ``heard`` counts what was passed on. An ``addition`` closes nothing.
    """

    case: str
    request: str
    token: str
    addition: bool
    notes: str = ""
    heard: int = 0

    def is_news(self, update: Update) -> bool:
        """Tell whether there is something that nobody has been told."""
        return update.closed or (update.notes not in {"", self.notes})

    def item_of(self, update: Update) -> str:
        """Return the id of an update: the same for the same, also after a crash."""
        said = f"{update.closed} {update.notes}".encode("utf-8", "replace")
        return f"{self.request}/{self.heard}/{hashlib.sha256(said).hexdigest()[:32]}"

    def redeemed(self, request: str) -> Tracked:
        """Return what is tracked once its token has an id."""
        return replace(self, request=request, token="")

    def after(self, update: Update) -> Tracked:
        """Return what is tracked once an update has been stored."""
        return replace(self, notes=update.notes, heard=self.heard + 1)


class Tracking:
    """The open requests of one connector."""

    def __init__(self, state: PluginState, service: ServiceId, base_url: str) -> None:
        """Keep them in ``state``, apart from those of other services and servers."""
        server = hashlib.sha256(base_url.encode()).hexdigest()[:8]
        self._state = state
        self._open = f"open311/{service}/{server}/open/"
        self._cases = f"open311/{service}/{server}/case/"

    async def earlier(self, case: Case) -> Earlier:
        """Return how the server has had a case before.

        What it gave a token for may have got its id since.
        """
        kept = await self._state.get(f"{self._cases}{case.id}")
        if not kept:
            return Earlier()
        known = Earlier(**kept)
        if known.request:
            return known
        tracked = (await self.all_open()).values()
        named = (e.request for e in tracked if e.case == case.number and not e.addition)
        return replace(known, request=next(named, ""))

    async def _has_report(self, number: str) -> bool:
        """Tell whether a report of the case is open: what comes then is more of it."""
        tracked = (await self.all_open()).values()
        return any(each.case == number and not each.addition for each in tracked)

    async def add(
        self, handover: Handover, accepted: Accepted, place: Mapping[str, str]
    ) -> None:
        """Note that the server has a report, durably."""
        addition = handover.follow_up or (
            handover.addition and await self._has_report(handover.case.number)
        )
        values: dict[str, Any] = {}
        # Of a black box nothing will ever be heard.
        if accepted.request or accepted.token:
            tracked = Tracked(
                case=handover.case.number,
                request=accepted.request,
                token=accepted.token,
                addition=addition,
            )
            values[f"{self._open}{handover.delivery_id}"] = asdict(tracked)
        if not addition:
            kept = {"request": accepted.request, "place": dict(place)}
            values[f"{self._cases}{handover.case.id}"] = kept
        await self._state.put_many(values)

    async def all_open(self) -> dict[str, Tracked]:
        """Return the open requests, each under its key."""
        kept = await self._state.find(self._open)
        return {key: Tracked(**value) for key, value in sorted(kept.items())}

    async def put(self, key: str, tracked: Tracked) -> None:
        """Note what has changed of a request."""
        await self._state.put(key, asdict(tracked))

    async def end(self, key: str) -> None:
        """Track a request no more."""
        await self._state.remove([key])
