"""What a citizen's telephone makes: messages of every kind, as webhooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.clock import Clock
from gateway_whatsapp.simulator import payloads
from gateway_whatsapp.simulator.ledger import SentMessage
from gateway_whatsapp.simulator.media import MediaLibrary


class Telephone:
    """Makes messages to our number.

    Each takes ``name``, ``user_id`` ("" for none) and ``phone_number_id`` (another
    number of ours) as well; ``from_`` is a number, or a user id without one.
    """

    def __init__(self, phone_number_id: str, clock: Clock, media: MediaLibrary) -> None:
        """Write to ``phone_number_id``."""
        self._phone_number_id = phone_number_id
        self._clock = clock
        self.media = media

    def add_media(self, content: bytes, mime_type: str) -> str:
        """Keep a file as if a citizen had sent it; return its media id."""
        return self.media.add(content, mime_type).id

    def text(self, from_: str, body: str, **person: Any) -> dict[str, Any]:
        """Return a text message from the number ``from_``."""
        return self._message("text", from_, {"body": body}, **person)

    def image(
        self, from_: str, media_id: str, caption: str = "", **person: Any
    ) -> dict[str, Any]:
        """Return a message with an image of `add_media`."""
        more = {"caption": caption} if caption else {}
        return self._message("image", from_, self._object(media_id, **more), **person)

    def voice(self, from_: str, media_id: str, **person: Any) -> dict[str, Any]:
        """Return a voice message of `add_media`."""
        content = self._object(media_id, voice=True)
        return self._message("voice", from_, content, **person)

    def location(
        self,
        from_: str,
        latitude: float,
        longitude: float,
        *,
        place: str = "",
        address: str = "",
        **person: Any,
    ) -> dict[str, Any]:
        """Return a position in degrees, with name and address if a place was chosen."""
        content: dict[str, Any] = {"latitude": latitude, "longitude": longitude}
        if place:
            content["name"] = place
        if address:
            content["address"] = address
        return self._message("location", from_, content, **person)

    def choose(
        self, from_: str, sent: SentMessage, option_id: str, **person: Any
    ) -> dict[str, Any]:
        """Return the choice of an option of a menu that was sent.

        Raises:
            ValueError: the message has no such option.

        """
        title = dict(sent.menu).get(option_id)
        if title is None:
            known = ", ".join(option for option, _ in sent.menu) or "none"
            raise ValueError(f"no option {option_id}: there are {known}")
        kind = "list_reply" if sent.interactive == "list" else "button_reply"
        content = {"type": kind, kind: {"id": option_id, "title": title}}
        context = {"from": "15550783881", "id": sent.wamid}
        return self._message(kind, from_, content, context=context, **person)

    def batch(self, messages: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Return one webhook with all that ``messages`` hold, statuses too."""
        return payloads.batch(messages)

    def status(
        self, sent: SentMessage, status: str, code: int | None = None
    ) -> dict[str, Any]:
        """Return a status of a message that was taken; ``failed`` has a ``code``."""
        return payloads.status(
            status,
            phone_number_id=sent.phone_number_id or self._phone_number_id,
            wamid=sent.wamid,
            to=sent.to,
            at=self._clock.now(),
            token=sent.biz_opaque_callback_data,
            code=code,
        )

    def _object(self, media_id: str, **more: Any) -> dict[str, Any]:
        medium = self.media.get(media_id)
        if medium is None:
            raise ValueError("add the file with add_media first")
        return medium.object(**more)

    def _message(  # noqa: PLR0913 (what may be told of a person)
        self,
        kind: str,
        from_: str,
        content: dict[str, Any],
        *,
        name: str = "Maria Deiana",
        user_id: str | None = None,
        phone_number_id: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return payloads.message(
            kind,
            phone_number_id=phone_number_id or self._phone_number_id,
            from_=from_,
            name=name,
            user_id=user_id,
            at=self._clock.now(),
            content=content,
            context=context,
        )
