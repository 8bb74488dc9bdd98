"""What the author of a plugin subclasses, and what the gateway hands to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import pluggy
from pydantic import BaseModel

from gateway.clock import Clock
from gateway.config import (
    UNIQUE,
    ChannelReference,
    NoConfig,
    Section,
    ServiceReference,
    channel_of_type,
)
from gateway.model import (
    Attachment,
    CaseView,
    ChannelId,
    Item,
    Message,
    ServiceId,
)

if TYPE_CHECKING:
    import aiohttp
    from structlog.typing import FilteringBoundLogger

hookimpl = pluggy.HookimplMarker("gateway")

ConfigT_co = TypeVar("ConfigT_co", bound=BaseModel, covariant=True)


class Intake(Protocol):
    """The inbound door: stored, deduplicated and durable when it returns."""

    async def accept(
        self,
        channel: ChannelId,
        body: bytes,
        items: Sequence[Item],
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Store an original and its items in one unit of work.

        Returns how many items were new: the others had been accepted before. Only
        after the return may the sender be told that we have it.

        Raises:
            StoreFull: there is no room; answer 503.
            StoreUnavailable: the database can't be reached; answer 503.

        """

    async def accept_each(
        self, channel: ChannelId, originals: Sequence[tuple[bytes, Item]]
    ) -> int:
        """Do the same for many originals that are one item each, at less cost.

        If it raises, some of them may have been stored.
        """


class Files(Protocol):
    """The attachments of messages, for plugins that look into them."""

    async def fetch(self, message: Message, attachment: Attachment) -> Attachment:
        """Return the attachment with its bytes stored, fetched now if need be.

        `enrich_message` may put it into the message: it is not fetched again then.

        Raises:
            AttachmentError: it can't be had, now or ever.

        """

    def path(self, attachment: Attachment) -> Path:
        """Return where the bytes of a stored attachment are; only read them.

        Raises:
            AttachmentError: they are not stored.

        """


class Cases(Protocol):
    """How cases stand, for plugins that tell others of them; nothing can be changed."""

    async def of_items(
        self, channel: ChannelId, external_ids: Collection[str]
    ) -> dict[str, CaseView | None]:
        """Return the case of each accepted item; None if it has none (yet).

        What was never accepted on the channel is not in it.
        """

    async def numbered(
        self, channel: ChannelId, numbers: Collection[str]
    ) -> list[CaseView]:
        """Return those of the cases that citizens opened on the channel.

        Newest first; one for each message of theirs.
        """

    async def opened(  # noqa: PLR0913 (each narrows the search)
        self,
        channel: ChannelId,
        since: datetime,
        until: datetime,
        *,
        closed: bool | None = None,
        prefixes: Collection[str] = (),
        most: int = 1000,
    ) -> list[CaseView]:
        """Return the ``most`` newest cases that were opened on the channel in a time.

        Those ``closed`` (`CaseView.ended`), the others, or both; ``prefixes`` are what
        external ids may begin with, if any are given.
        """


class PluginState(Protocol):
    """A durable key-value space of the plugin's own: cursors and the like.

    What is about a citizen has a key that says so, by which it is erased with them: it
    ends in ``/`` or ``:`` and the id of a case, message or delivery of theirs, or is a
    word of lower-case letters, ``/`` and the value of their address. Keep nothing about
    a citizen under any other.
    """

    async def get(self, key: str) -> Any | None:
        """Return the JSON value stored under ``key``."""

    async def put(self, key: str, value: Any) -> None:
        """Store a JSON value; durable when it returns."""

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the JSON values of those ``keys`` that are stored."""

    async def put_many(self, values: Mapping[str, Any]) -> None:
        """Store JSON values, all or none; durable when it returns."""

    async def find(self, prefix: str) -> dict[str, Any]:
        """Return the JSON values of all keys that begin with ``prefix``."""

    async def remove(self, keys: Iterable[str]) -> None:
        """Forget ``keys``; durable when it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[ConfigT_co]):
    """All that a plugin may use. What is not here is no plugin's business.

    ``language`` is that of the city's texts, as in ``[gateway] language``;
    ``services`` are the ids of all ``[services.<id>]``, ``service_names`` what they are
    called.
    """

    config: ConfigT_co
    http: aiohttp.ClientSession
    inbox: Intake
    files: Files
    cases: Cases
    state: PluginState
    clock: Clock
    log: FilteringBoundLogger
    language: str = "it"
    services: tuple[ServiceId, ...] = ()
    service_names: Mapping[ServiceId, str] = field(default_factory=dict)


class Plugin(Generic[ConfigT_co]):
    """Base of every plugin: ``class WhatsAppPlugin(Plugin[NoConfig])``.

    An entry point in the group ``gateway.plugins`` names the class. The gateway makes
    one instance; state belongs on the instance, never in a module.
    """

    config: ClassVar[type[BaseModel]] = NoConfig

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the configuration type from ``Plugin[...]``."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = getattr(base, "__args__", ())
            if arguments and isinstance(arguments[0], type):
                cls.config = arguments[0]


__all__ = [
    "UNIQUE",
    "Cases",
    "ChannelReference",
    "Context",
    "Files",
    "Intake",
    "NoConfig",
    "Plugin",
    "PluginState",
    "Section",
    "ServiceReference",
    "channel_of_type",
    "hookimpl",
]
