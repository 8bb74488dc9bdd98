"""The connector ``maildrop``: each hand-over is a folder in a directory."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import Any

import orjson

from gateway.connector import Connector
from gateway.errors import DeliveryError
from gateway.model import (
    Address,
    ChannelId,
    DeliveryId,
    Handover,
    Health,
    HealthStatus,
    Receipt,
    ReceiptStatus,
    Semantics,
    ServiceId,
)
from gateway.plugin import Context
from gateway_delivery import answer_files, folder
from gateway_delivery.answers import said_by
from gateway_delivery.config import MaildropConfig
from gateway_delivery.handover import as_data
from gateway_delivery.letter import letter
from gateway_delivery.names import folder_of, names_of
from gateway_delivery.systems import UNHEARD
from gateway_delivery.texts import Texts

_READABLE = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


class MaildropConnector(Connector[MaildropConfig]):
    """Lays messages down as folders: ``message.json``, ``message.txt``, the files.

    Keyed by the delivery's id: a repetition changes nothing, also after the office has
    taken the folder away.
    """

    semantics = Semantics.KEYED
    heard = True
    """Whether there is a channel by which answers come in."""

    def __init__(
        self, service: ServiceId, config: MaildropConfig, context: Context[Any]
    ) -> None:
        """Nothing is being written yet."""
        super().__init__(service, config, context)
        self._writing: dict[DeliveryId, asyncio.Task[bool]] = {}

    @cached_property
    def _words(self) -> Texts:
        return Texts(self.context.language)

    async def deliver(self, handover: Handover) -> Receipt:
        """Let the folder of a hand-over appear, whole.

        Raises:
            DeliveryError: it can't be written; another attempt may help.

        """
        try:
            await asyncio.shield(self._write(handover))
        except OSError as error:
            raise DeliveryError(
                "maildrop_unwritable", _why(error), retryable=True, account=True
            ) from error
        return Receipt(
            status=ReceiptStatus.SENT,
            at=self.context.clock.now(),
            external_id=f"maildrop:{handover.delivery_id}",
            delivery_id=handover.delivery_id,
        )

    def _write(self, handover: Handover) -> asyncio.Task[bool]:
        """Return the writing of a hand-over; what hangs is not begun a second time.

        A thread can't be cancelled: on a share that is gone for a while, an attempt
        outlives its time-out.
        """
        key = handover.delivery_id
        if key not in self._writing:
            contents = render(handover, self._words)
            root, name = self.config.path, folder_of(handover)
            put = asyncio.to_thread(folder.put, root, key, name, contents)
            self._writing[key] = task = asyncio.create_task(put)
            task.add_done_callback(lambda _: self._writing.pop(key, None))
        return self._writing[key]

    def may_answer(self, sender: Address) -> bool:
        """Tell whether ``sender`` is the service's own system."""
        return sender == said_by(self.service)

    async def fetch_answers(self, channel: ChannelId, context: Context[Any]) -> None:
        """Take the office's answers from the folder ``answers``."""
        if not self.config.answers:
            return
        try:
            await answer_files.take(
                self.config.path / "answers", self.service, channel, context
            )
        except OSError as error:
            context.log.warning("answers_unreadable", service=self.service)
            context.log.debug("answers_unreadable", error=_why(error))

    async def check(self) -> Health:
        """Write and remove a hidden file; forget marks of long ago."""
        try:
            await asyncio.to_thread(folder.try_write, self.config.path)
            await asyncio.to_thread(folder.sweep, self.config.path)
        except OSError as error:
            return Health(status=HealthStatus.DOWN, text=_why(error))
        lost = self.config.answers and not self.heard
        return UNHEARD if lost else Health(status=HealthStatus.OK)


def render(handover: Handover, words: Texts) -> folder.Contents:
    """Return what the folder of a hand-over holds; pure."""
    names = names_of(handover.enclosures)
    files = dict(zip(names, handover.enclosures, strict=True))
    by_digest = {each.sha256: name for name, each in files.items()}
    data = orjson.dumps(as_data(handover, by_digest), option=_READABLE)
    return {
        "message.json": data,
        "message.txt": letter(handover, words).encode("utf-8", "replace"),
        **{name: each.path for name, each in files.items()},
    }


def _why(error: OSError) -> str:
    return f"the folder can't be written: {(error.strerror or '').lower()}"
