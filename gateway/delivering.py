"""Makes targets of channels and connectors: parcels become what these take."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from gateway import outbox, texts
from gateway.attachments import AttachmentStore
from gateway.channel import Channel, Rate
from gateway.connector import Connector
from gateway.courier import Fallback, Target
from gateway.deadlines import urged_by
from gateway.errors import DeliveryError
from gateway.ladder import Ladder
from gateway.links import Links, Ticket
from gateway.model import (
    Attachment,
    AttachmentState,
    ChannelId,
    Enclosure,
    Handover,
    Outgoing,
    Receipt,
    ServiceId,
    Urgency,
)
from gateway.outbox import Parcel
from gateway.rates import Limit
from gateway.targets import CHANNEL, of_service
from gateway.texts import Texts


@dataclass(frozen=True, slots=True)
class Packing:
    """Turns stored attachments into enclosures, and names those that are missing."""

    attachments: AttachmentStore
    texts: Texts
    links: Links | None = None
    notice: Callable[[Parcel], str] = lambda _: ""
    """What a service reads above a message."""

    def enclosures(self, parcel: Parcel) -> tuple[Enclosure, ...]:
        """Return the files that can go along."""
        return tuple(
            self._enclosure(parcel, position, attachment, str(attachment.sha256))
            for position, attachment in enumerate(parcel.attachments)
            if attachment.state is AttachmentState.STORED
        )

    def _enclosure(
        self, parcel: Parcel, position: int, attachment: Attachment, sha256: str
    ) -> Enclosure:
        ticket = self._ticket(parcel, parcel.first + position)
        return Enclosure(
            name=name_of(position + 1, attachment),
            media_type=attachment.media_type,
            size=attachment.size or 0,
            sha256=sha256,
            path=self.attachments.path(sha256),
            voice=attachment.voice,
            seconds=attachment.seconds,
            url=self.links.url(ticket) if self.links and ticket else "",
            last_day=ticket.last_day if ticket else None,
        )

    def _ticket(self, parcel: Parcel, position: int) -> Ticket | None:
        """Return what a link to the file is to be good for, if there are links."""
        if self.links is None or parcel.source_id is None:
            return None
        return Ticket(
            message_id=parcel.source_id,
            position=position,
            last_day=self.links.last_day(parcel.created_at),
        )

    def left_behind(self, files: Sequence[Enclosure]) -> list[str]:
        """Say what of an answer a channel can't carry, and where it is to be had."""
        say = self.texts.say
        linked = [file for file in files if file.url]
        notes = [
            say(texts.NOT_CARRIED_LINK, name=f.name, day=f.last_day, url=f.url)
            for f in linked
        ]
        if left := len(files) - len(linked):
            notes.append(say(texts.NOT_CARRIED, count=left))
        return notes

    def missing(self, parcel: Parcel) -> tuple[str, ...]:
        """Say which files can't go along, and why."""
        say = {
            AttachmentState.PENDING: texts.PENDING_ATTACHMENT,
            AttachmentState.LOST: texts.LOST_ATTACHMENT,
        }
        return tuple(
            self.texts.say(say[attachment.state], name=attachment.name or position)
            for position, attachment in enumerate(parcel.attachments, start=1)
            if attachment.state in say
        )


def to_service(  # noqa: PLR0913 (wired once, in the composition root)
    service: ServiceId,
    name: str,
    connector: Connector[Any],
    packing: Packing,
    *,
    number: int = 0,
    fallback: Fallback | None = None,
) -> Target:
    """Return the target of a service, reached by its ``connector`` of that number."""

    def handover(parcel: Parcel) -> Handover:
        if parcel.case is None:
            text = f"delivery {parcel.id} belongs to no case"
            raise DeliveryError("no_case", text, retryable=False)
        urged = urged_by(parcel.purpose)
        said = _paragraphs(packing.notice(parcel), [parcel.message.text])
        return Handover(
            delivery_id=parcel.id,
            attempt=parcel.claim.attempt,
            created_at=parcel.created_at,
            service=service,
            service_name=name,
            case=parcel.case,
            message=replace(parcel.message, text=said),
            enclosures=packing.enclosures(parcel),
            missing=packing.missing(parcel),
            addition=outbox.is_addition(parcel.purpose)
            or (urged is not None and urged[0] is Urgency.REMINDER),
            follow_up=parcel.purpose == outbox.FOLLOW_UP,
            maybe_sent=parcel.maybe_sent,
            urgency=urged[0] if urged else None,
            internal=parcel.internal,
        )

    async def send(parcel: Parcel) -> Receipt:
        return await connector.deliver(handover(parcel))

    async def resolve(parcel: Parcel) -> Receipt | None:
        return await connector.resolve(handover(parcel))

    return Target(
        name=of_service(service, number),
        fallback=fallback,
        semantics=connector.semantics,
        grace=timedelta(seconds=connector.grace_seconds),
        send=send,
        resolve=resolve,
    )


def to_channel(
    channel_id: ChannelId, channel: Channel[Any], packing: Packing, ladder: Ladder
) -> Target:
    """Return the target of the citizens of a channel."""

    def outgoing(parcel: Parcel) -> Outgoing:
        files = packing.enclosures(parcel)
        enclosures = tuple(file for file in files if channel.carries(file))
        left = [file for file in files if file not in enclosures]
        notes = [*packing.missing(parcel), *packing.left_behind(left)]
        return Outgoing(
            delivery_id=parcel.id,
            attempt=parcel.claim.attempt,
            created_at=parcel.created_at,
            to=parcel.to,
            text=_paragraphs(parcel.message.text, notes),
            purpose=parcel.purpose,
            last_inbound_at=parcel.last_inbound_at,
            enclosures=enclosures,
            location=parcel.message.location,
            menu=parcel.message.menu,
            quote=parcel.quote,
            case_number=parcel.case.number if parcel.case else "",
            maybe_sent=parcel.maybe_sent,
            last_code=parcel.code,
            may_template=ladder.may_template(parcel.purpose, parcel.rung),
        )

    async def send(parcel: Parcel) -> Receipt:
        return await channel.send(outgoing(parcel))

    async def resolve(parcel: Parcel) -> Receipt | None:
        return await channel.resolve(outgoing(parcel))

    name = f"{CHANNEL}:{channel_id}"
    rates = tuple(channel.rates())

    def limits(parcel: Parcel) -> list[Limit]:
        return [_limit(name, number, rate, parcel) for number, rate in enumerate(rates)]

    return Target(
        name=name,
        semantics=channel.semantics,
        grace=timedelta(seconds=channel.grace_seconds),
        limits=limits if rates else None,
        line=lambda parcel: channel.line(parcel.to),
        send=send,
        resolve=resolve,
    )


def name_of(number: int, attachment: Attachment) -> str:
    """Return what a file is called; one without a name gets one that says its type."""
    return attachment.name or f"allegato-{number}{_ending(attachment)}"


_ENDINGS = {"audio/ogg": ".ogg", "audio/amr": ".amr", "video/3gpp": ".3gp"}


def _ending(attachment: Attachment) -> str:
    """Return how the name of such a file ends, so that a double click opens it."""
    known = _ENDINGS.get(attachment.media_type)
    return known or mimetypes.guess_extension(attachment.media_type) or ""


def _limit(target: str, number: int, rate: Rate, parcel: Parcel) -> Limit:
    # A conversation, not an address: no personal data, and one flow for all numbers.
    whose = f"/{parcel.conversation_id}" if rate.each_recipient else ""
    return Limit(
        name=f"{target}/{number}{whose}",
        interval=timedelta(seconds=1 / rate.per_second),
        burst=rate.burst,
        each_recipient=rate.each_recipient,
    )


def _paragraphs(text: str, notes: Sequence[str]) -> str:
    return "\n\n".join(filter(None, [text, *notes]))
