"""Runs the channels that must fetch: on one node at a time, again if it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection

from gateway import leases
from gateway.channel import Channel
from gateway.errors import StoreError
from gateway.model import ChannelId
from gateway.workers import Crew

log = structlog.get_logger()


class Receivers:
    """Supervises `Channel.receive` under a single-owner lease."""

    def __init__(self, crew: Crew, channels: Mapping[ChannelId, Channel[Any]]) -> None:
        """Supervise the channels that override ``receive``."""
        self._crew = crew
        self._channels = {
            channel_id: channel
            for channel_id, channel in channels.items()
            if type(channel).receive is not Channel.receive
        }

    async def run(self) -> None:
        """Receive until cancelled; then let others have the channels at once."""
        try:
            async with asyncio.TaskGroup() as group:
                for channel_id, channel in self._channels.items():
                    group.create_task(self._supervise(channel_id, channel))
                group.create_task(asyncio.Event().wait())
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        def work(connection: Connection) -> None:
            for channel_id in self._channels:
                name = _lease_of(channel_id)
                leases.give_up(connection, name, self._crew.boot_id)

        try:
            async with asyncio.timeout(self._crew.pace.lease / 3):
                await self._crew.store.run(work)
        except (StoreError, TimeoutError) as error:
            log.warning("lease_kept", error=type(error).__name__)

    async def _supervise(self, channel_id: ChannelId, channel: Channel[Any]) -> None:
        attempt = 0
        while True:
            if await self._own(channel_id):
                started = self._crew.clock.monotonic()
                await self._receive(channel_id, channel)
                lasted = self._crew.clock.monotonic() - started
                attempt = 0 if lasted > self._crew.pace.lease else attempt + 1
            pause = self._crew.delay(min(attempt, 3)).total_seconds()
            await asyncio.sleep(min(pause, self._crew.pace.lease / 2))

    async def _receive(self, channel_id: ChannelId, channel: Channel[Any]) -> None:
        """Receive for as long as the lease is ours."""
        receiving = asyncio.ensure_future(channel.receive())
        keeping = asyncio.ensure_future(self._keep(channel_id))
        try:
            await asyncio.wait(
                {receiving, keeping}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            receiving.cancel()
            keeping.cancel()
            ended = await asyncio.gather(receiving, keeping, return_exceptions=True)
        failure = ended[0]
        if isinstance(failure, Exception):
            name = type(failure).__name__
            log.warning("receive_failed", channel=channel_id, error=name)

    async def _own(self, channel_id: ChannelId) -> bool:
        work = partial(
            leases.take,
            name=_lease_of(channel_id),
            owner=self._crew.boot_id,
            lease=timedelta(seconds=self._crew.pace.lease),
        )
        try:
            # A database that does not answer must not keep us past our lease.
            async with asyncio.timeout(self._crew.pace.lease / 3):
                return await self._crew.store.run(work)
        except (StoreError, TimeoutError) as error:
            name = type(error).__name__
            log.warning("lease_failed", channel=channel_id, error=str(error) or name)
            return False

    async def _keep(self, channel_id: ChannelId) -> None:
        """Prolong the lease; return when it is lost."""
        owned = True
        while owned:
            await asyncio.sleep(self._crew.pace.lease / 3)
            owned = await self._own(channel_id)
        log.warning("lease_lost", channel=channel_id)


def _lease_of(channel_id: ChannelId) -> str:
    return f"channel:{channel_id}"
