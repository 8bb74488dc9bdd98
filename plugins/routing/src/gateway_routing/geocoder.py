"""Asks the city's geocoder: seldom, briefly, and the same thing once.

Only an address or a point leaves, never the text. The stream doesn't wait for it: what
isn't answered in time, or would have to queue for long, goes on without a place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from math import cos, hypot, radians
from typing import Any, Final

import aiohttp

from gateway.breaker import Breaker, BreakerState
from gateway.connections import explain
from gateway.errors import GatewayError, PayloadError
from gateway.model import Health, HealthStatus
from gateway.plugin import Context
from gateway_routing import nominatim
from gateway_routing.addresses import Wanted
from gateway_routing.config import GeocoderSection
from gateway_routing.nominatim import Found, Params

FAILURES: Final = 5
PAUSE_SECONDS: Final = 60.0
"""So long it is left alone after so many failures in a row."""

TIDY_SECONDS = 3600.0

_MOST_BYTES: Final = 256 * 1024
_CACHE: Final = "geocoded/"
_SAME_METRES: Final = 2000
_NEAR_METRES: Final = 100
_DEGREE_METRES: Final = 111_195


class Unanswered(Exception):
    """The geocoder gave no answer that can be used; the text is fit for a log."""


class Geocoder:
    """A Nominatim server, with what keeps us from troubling it."""

    def __init__(self, section: GeocoderSection, context: Context[Any]) -> None:
        """Ask as ``section`` says, over the gateway's own client."""
        self._section = section
        self._context = context
        self._breaker = Breaker(context.clock, failures=FAILURES, seconds=PAUSE_SECONDS)
        self._free_at = 0.0
        self._health = Health(status=HealthStatus.OK)

    async def find(self, wanted: Wanted) -> Found | None:
        """Return the place of an address; what could be two is none."""
        if not self._section.forward:
            return None
        language = self._context.language
        params = nominatim.search(
            wanted.street, wanted.number, self._section.city, language
        )
        places = await self._ask(nominatim.SEARCH, params, nominatim.read_search)
        return _only(wanted, places)

    async def address_at(self, latitude: float, longitude: float) -> str:
        """Return the address of a point (WGS 84 degrees), "" if it is not known."""
        if not self._section.reverse:
            return ""
        params = nominatim.reverse(latitude, longitude, self._context.language)
        places = await self._ask(nominatim.REVERSE, params, nominatim.read_reverse)
        point = (latitude, longitude)
        near = [place for place in places if _metres(point, place) <= _NEAR_METRES]
        return near[0].address if near else ""

    async def check(self) -> None:
        """Ask how the server is, for `health`; raises nothing."""
        try:
            body = await self._get(nominatim.STATUS, {"format": "json"})
            wrong = nominatim.read_status(body)
        except PayloadError as error:
            wrong = f"no Nominatim server: {error}"
        except Unanswered as error:
            wrong = str(error)
        if wrong:
            text = f"geocoder: {wrong}"
            self._health = Health(status=HealthStatus.DEGRADED, text=text)

    def health(self) -> Health:
        """Say how the last answers were."""
        if self._breaker.state is not BreakerState.CLOSED:
            text = "geocoder: left alone after repeated failures"
            return Health(status=HealthStatus.DEGRADED, text=text)
        return self._health

    async def tidy(self) -> None:
        """Forget what has been kept for long enough, now and then, for ever."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            try:
                await self._forget()
            except GatewayError as error:
                # The next time will do.
                reason = type(error).__name__
                self._context.log.warning("geocoder_not_tidied", reason=reason)

    async def _forget(self) -> None:
        state, now = self._context.state, self._context.clock.now()
        kept = await state.find(_CACHE)
        old = [key for key, each in kept.items() if _is_over(each, now)]
        if old:
            await state.remove(old)

    async def _ask(
        self, path: str, params: Params, read: Callable[[bytes], Sequence[Found]]
    ) -> Sequence[Found]:
        """Return what is known by now, or is answered; nothing if it isn't."""
        key = _key(path, params)
        kept = await self._context.state.get(key)
        now = self._context.clock.now()
        if kept is not None and not _is_over(kept, now):
            return [Found(**each) for each in kept["found"]]
        places = await self._answered(path, params, read)
        if places is None:
            return ()
        until = now + timedelta(days=self._section.cache_days)
        found = [asdict(place) for place in places]
        await self._context.state.put(key, {"until": until.isoformat(), "found": found})
        return places

    async def _answered(
        self, path: str, params: Params, read: Callable[[bytes], Sequence[Found]]
    ) -> Sequence[Found] | None:
        wait = self._turn()
        if wait is None or not self._breaker.allows():
            return None
        try:
            async with self._reported():
                await asyncio.sleep(wait)
                return read(await self._get(path, params))
        except (Unanswered, PayloadError) as error:
            reason = str(error)
            self._context.log.warning("geocoder_failed", asked=path, reason=reason)
            return None

    @asynccontextmanager
    async def _reported(self) -> AsyncIterator[None]:
        """Let the breaker know how a call ends, also if it is cancelled."""
        try:
            yield
        except BaseException:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        self._health = Health(status=HealthStatus.OK)

    def _turn(self) -> float | None:
        """Return in how many seconds to ask; None if that would be too long."""
        now = self._context.clock.monotonic()
        at = max(now, self._free_at)
        if at - now > self._section.timeout / 2:
            return None
        self._free_at = at + self._section.interval_seconds
        return at - now

    async def _get(self, path: str, params: Params) -> bytes:
        """Ask once, following nobody elsewhere.

        Raises:
            Unanswered: no answer in time, or another one than 200.

        """
        url = f"{self._section.base_url.rstrip('/')}/{path}"
        limit = aiohttp.ClientTimeout(total=self._section.timeout)
        agent = f"municipal-gateway ({self._section.contact})"
        try:
            async with self._context.http.get(
                url,
                params=dict(params),
                headers={"User-Agent": agent},
                timeout=limit,
                allow_redirects=False,
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise Unanswered(f"it answers {response.status}")
                body = await response.content.read(_MOST_BYTES + 1)
                while len(body) <= _MOST_BYTES and not response.content.at_eof():
                    body += await response.content.read(_MOST_BYTES + 1 - len(body))
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(explain(error)) from error
        if len(body) > _MOST_BYTES:
            raise Unanswered(f"an answer of more than {_MOST_BYTES} bytes")
        return body


def _only(wanted: Wanted, places: Sequence[Found]) -> Found | None:
    """Return the place that was meant, if it can't be another one."""
    meant = [p for p in places if wanted.words & Wanted(p.street).words]
    if not meant:
        return None
    first, *others = meant
    if any(
        other.street.casefold() != first.street.casefold()
        or _metres((first.latitude, first.longitude), other) > _SAME_METRES
        for other in others
    ):
        return None
    return Found(
        street=first.street,
        number=first.number or wanted.number,
        latitude=first.latitude,
        longitude=first.longitude,
    )


def _metres(point: tuple[float, float], place: Found) -> float:
    """Return how far a place is from a point; nearly, as within a city."""
    latitude, longitude = point
    north = place.latitude - latitude
    east = (place.longitude - longitude) * cos(radians(latitude))
    return hypot(north, east) * _DEGREE_METRES


def _key(path: str, params: Params) -> str:
    said = "&".join(f"{name}={params[name].casefold()}" for name in sorted(params))
    return f"{_CACHE}{path}/{sha256(said.encode()).hexdigest()}"


def _is_over(kept: Any, now: datetime) -> bool:
    return datetime.fromisoformat(kept["until"]) <= now
