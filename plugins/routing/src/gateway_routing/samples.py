"""Decided reports: what a model learns from, and routing is measured by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import PluginError
from gateway.model import Address, ChannelId, Location, Message, MessageId
from gateway_routing.tables import point_of, read_table

_COLUMNS = ("service", "text")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a citizen wrote, and whose it was; the first message, if it is known."""

    service: str
    text: str
    message: Message | None = None

    @property
    def begun(self) -> Message:
        """The message that is routed."""
        return self.message or said(self.text)


def said(text: str, channel: str = "") -> Message:
    """Return a message that nobody has sent."""
    now = datetime.now(UTC)
    return Message(
        id=MessageId("explained"),
        channel=ChannelId(channel),
        external_id="",
        sender=Address("mailto", "nobody@invalid"),
        sent_at=now,
        received_at=now,
        text=text,
    )


def read_csv(path: Path, services: Collection[str]) -> list[Sample]:
    """Return the samples of a CSV file (UTF-8; comma, semicolon or tab).

    The first line names the columns; ``service`` and ``text`` are read, and what else
    rules ask for, if it is there: ``channel``, ``classification``, ``latitude`` and
    ``longitude`` (WGS 84 degrees).

    Raises:
        PluginError: names file, line, what was found and what is allowed.

    """
    return list(_samples(path, services))


def _samples(path: Path, services: Collection[str]) -> Iterator[Sample]:
    for place, row in read_table(path, _COLUMNS):
        service, text = row["service"], row["text"]
        if service not in services:
            known = ", ".join(services)
            raise PluginError(
                f"{place}: found service {service!r}; allowed: one of {known}"
            )
        if text:
            yield Sample(service, text, _message(row, place))


def _message(row: Mapping[str, str], place: str) -> Message | None:
    channel, filed = row.get("channel", ""), row.get("classification", "")
    degrees = [row.get(name, "") for name in ("latitude", "longitude")]
    point = point_of(degrees, place) if all(degrees) else None
    if not (channel or filed or point):
        return None
    location = Location(latitude=point[0], longitude=point[1]) if point else None
    message = said(row["text"], channel)
    return replace(message, classification=filed, location=location)
