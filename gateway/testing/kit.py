"""Doubles and a harness for the tests of plugins.

`make_context` gives a channel or connector what the gateway would; `running` runs a
whole gateway in process, on a database of its own, with the plugins you hand it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from gateway.app import Gateway, Parts
from gateway.config import Document, NoConfig, Section, load
from gateway.errors import AttachmentError
from gateway.host import PluginHost
from gateway.model import (
    Attachment,
    AttachmentState,
    CaseView,
    ChannelId,
    Item,
    Message,
)
from gateway.plugin import Context, Plugin
from gateway.setup import kinds_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One original that a channel handed to the inbox."""

    channel: ChannelId
    body: bytes
    items: tuple[Item, ...]
    headers: Mapping[str, str]


@dataclass(slots=True)
class RecordingIntake:
    """An inbox in memory: deduplicates as the real one does, and remembers."""

    accepted: list[Accepted] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)
    failure: Exception | None = None

    async def accept(
        self,
        channel: ChannelId,
        body: bytes,
        items: Sequence[Item],
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Remember what is new; raise ``failure`` if one is set."""
        if self.failure is not None:
            raise self.failure
        keys = {(channel, item.external_id) for item in items}
        new = len(keys - self.known)
        self.known |= keys
        arrival = Accepted(
            channel=channel, body=body, items=tuple(items), headers=headers or {}
        )
        self.accepted.append(arrival)
        return new

    async def accept_each(
        self, channel: ChannelId, originals: Sequence[tuple[bytes, Item]]
    ) -> int:
        """Remember many originals of one item each."""
        return sum(
            [await self.accept(channel, body, [item]) for body, item in originals]
        )


@dataclass(slots=True)
class MemoryState:
    """A plugin's key-value space in memory."""

    values: dict[str, Any] = field(default_factory=dict)

    async def get(self, key: str) -> Any | None:
        """Return the value stored under ``key``."""
        return self.values.get(key)

    async def put(self, key: str, value: Any) -> None:
        """Store a value."""
        self.values[key] = value

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those ``keys`` that are stored."""
        return {key: self.values[key] for key in keys if key in self.values}

    async def put_many(self, values: Mapping[str, Any]) -> None:
        """Store values."""
        self.values.update(values)

    async def find(self, prefix: str) -> dict[str, Any]:
        """Return the values of all keys that begin with ``prefix``."""
        return {k: v for k, v in self.values.items() if k.startswith(prefix)}

    async def remove(self, keys: Iterable[str]) -> None:
        """Forget ``keys``."""
        for key in keys:
            self.values.pop(key, None)


@dataclass(slots=True)
class MemoryFiles:
    """Attachments that are there from the start, each under its locator."""

    paths: dict[str, Path] = field(default_factory=dict)

    async def fetch(self, message: Message, attachment: Attachment) -> Attachment:
        """Return the attachment as a stored one.

        Raises:
            AttachmentError: it has no path.

        """
        del message
        path = self.path(attachment)
        size = path.stat().st_size
        return replace(attachment, state=AttachmentState.STORED, size=size)

    def path(self, attachment: Attachment) -> Path:
        """Return where it is.

        Raises:
            AttachmentError: it has no path.

        """
        try:
            return self.paths[attachment.locator]
        except KeyError:
            raise AttachmentError("gone", "no such file", retryable=False) from None


@dataclass(slots=True)
class MemoryCases:
    """Cases that stand as ``views`` say; ``waiting`` are items that have none yet."""

    views: list[CaseView] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)

    async def of_items(
        self, channel: ChannelId, external_ids: Collection[str]
    ) -> dict[str, CaseView | None]:
        """Return the case of each known item."""
        found: dict[str, CaseView | None] = dict.fromkeys(
            self.waiting & set(external_ids)
        )
        views = [v for v in self._of(channel) if v.item.external_id in external_ids]
        return found | {view.item.external_id: view for view in views}

    async def numbered(
        self, channel: ChannelId, numbers: Collection[str]
    ) -> list[CaseView]:
        """Return cases by their numbers."""
        return [view for view in self._of(channel) if view.number in numbers]

    async def opened(  # noqa: PLR0913 (as the protocol has it)
        self,
        channel: ChannelId,
        since: datetime,
        until: datetime,
        *,
        closed: bool | None = None,
        prefixes: Collection[str] = (),
        most: int = 1000,
    ) -> list[CaseView]:
        """Return the cases of a time."""
        found = [
            view
            for view in self._of(channel)
            if since <= view.opened_at <= until
            and closed in {None, view.ended}
            and view.item.external_id.startswith(tuple(prefixes) or "")
        ]
        return found[:most]

    def _of(self, channel: ChannelId) -> list[CaseView]:
        views = [view for view in self.views if view.item.channel == channel]
        return sorted(views, key=lambda view: view.opened_at, reverse=True)


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told to."""

    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    seconds: float = 0.0

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self.at + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the seconds passed."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


def make_context(
    http: aiohttp.ClientSession,
    *,
    config: Section | None = None,
    inbox: RecordingIntake | None = None,
    files: MemoryFiles | None = None,
    cases: MemoryCases | None = None,
) -> Context[Any]:
    """Return a context of doubles."""
    return Context(
        config=config or NoConfig(),
        http=http,
        inbox=inbox or RecordingIntake(),
        files=files or MemoryFiles(),
        cases=cases or MemoryCases(),
        state=MemoryState(),
        clock=ManualClock(),
        log=structlog.get_logger(),
    )


@contextlib.asynccontextmanager
async def running(
    toml: str,
    folder: Path,
    plugins: Mapping[str, Plugin[Any]],
    parts: Parts | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway configured by ``toml`` with the plugin instances given.

    Its files go into ``folder``; set ``[web] port = 0`` for a free port, and read it
    from ``gateway.port``. ``parts`` may bring another clock.
    """
    path = folder / "gateway.toml"
    path.write_text(toml)
    document = Document.read(path)
    host = PluginHost()
    for name, plugin in plugins.items():
        host.register(name, plugin)
    settings = load(document, kinds_of(host))
    host.known_services = frozenset(settings.services)
    async with Gateway(settings, host, parts).running() as gateway:
        yield gateway
