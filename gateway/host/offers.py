"""Collects what plugins register under a name: channel types and connector types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from gateway.channel import ChannelType
from gateway.connector import ConnectorType
from gateway.errors import PluginError

OfferT = TypeVar("OfferT", ChannelType, ConnectorType)


class Offers(Generic[OfferT]):
    """The types on offer by name, each with the plugin that offers it."""

    def __init__(self, kind: type[OfferT]) -> None:
        self._kind: type[OfferT] = kind
        self._offers: dict[str, tuple[str, OfferT]] = {}

    def add(self, plugin: str, register: Callable[[], Iterable[Any]]) -> None:
        """Take what ``plugin`` registers.

        Raises:
            PluginError: it fails, or offers what is no type or is offered already.

        """
        for offer in self._registered(plugin, register):
            if not isinstance(offer, self._kind):
                found, wanted = type(offer).__name__, self._kind.__name__
                raise PluginError(f"plugin {plugin} registers {found}; wanted {wanted}")
            if offer.name in self._offers:
                other = self._offers[offer.name][0]
                raise PluginError(
                    f"plugins {other} and {plugin} both register the"
                    f" {self._kind.__name__} {offer.name}: enable only one of them"
                )
            self._offers[offer.name] = (plugin, offer)

    @staticmethod
    def _registered(
        plugin: str, register: Callable[[], Iterable[object]]
    ) -> list[object]:
        try:
            return list(register())
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            raise PluginError(f"plugin {plugin} can't register: {cause}") from error

    def types(self) -> Mapping[str, OfferT]:
        """Return the types by name."""
        return {name: offer for name, (_, offer) in self._offers.items()}

    def owner(self, name: str) -> str:
        """Return the plugin that offers ``name``.

        Raises:
            PluginError: none does.

        """
        if name not in self._offers:
            there = ", ".join(sorted(self._offers)) or "none"
            raise PluginError(
                f"no enabled plugin offers the {self._kind.__name__} {name};"
                f" on offer: {there}"
            )
        return self._offers[name][0]
