"""An answer, cut into what a channel takes as one message each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway import texts
from gateway.model import Location, Manners
from gateway.texts import Texts

ANSWER: Final = "answer"
LOCATION: Final = "location"
_ENCLOSURE: Final = "enclosure:"
_MAP = "https://www.openstreetmap.org/?mlat={0}&mlon={1}#map=18/{0}/{1}"


def enclosure(position: int) -> str:
    """Name the purpose of a delivery that brings one file of its source alone."""
    return f"{_ENCLOSURE}{position}"


def enclosed(purpose: str) -> int | None:
    """Return the position of the file that a delivery of this purpose brings alone."""
    if not purpose.startswith(_ENCLOSURE):
        return None
    return int(purpose.removeprefix(_ENCLOSURE))


def is_answer(purpose: str) -> bool:
    """Tell whether a citizen gets an answer by a delivery, or a part of one."""
    return purpose in {ANSWER, LOCATION} or purpose.startswith(_ENCLOSURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message of an answer; ``brings`` its files, or the one of its purpose."""

    purpose: str
    text: str = ""
    location: Location | None = None
    brings: bool = False


def with_place(
    text: str, place: Location | None, manners: Manners, words: Texts
) -> str:
    """Return a text with the place in words, where a channel can't show a map."""
    if place is None or manners.locations:
        return text
    return "\n\n".join(filter(None, [text, _written(place, words)]))


def cut(
    text: str, place: Location | None, files: Sequence[int], manners: Manners
) -> Iterator[Part]:
    """Cut an answer up; ``files`` are the positions of those that go apart."""
    *first, last = manners.split(text)
    for each in first:
        yield Part(purpose=ANSWER, text=each)
    yield Part(purpose=ANSWER, text=last, brings=not manners.files_apart)
    if place is not None and manners.locations:
        yield Part(purpose=LOCATION, location=place)
    if manners.files_apart:
        for position in files:
            yield Part(purpose=enclosure(position), brings=True)


def _written(place: Location, words: Texts) -> str:
    """Write a point down, for channels that can't show a map."""
    position = words.say(
        texts.POSITION,
        latitude=place.latitude,
        longitude=place.longitude,
        place=", ".join(filter(None, [place.name, place.address])),
    )
    return f"{position.strip()}\n{_MAP.format(place.latitude, place.longitude)}"
