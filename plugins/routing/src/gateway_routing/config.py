"""Configuration of the plugin: ``[plugins.routing]``."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, model_validator

from gateway.plugin import ChannelReference, Section, ServiceReference
from gateway_routing import patterns


def _one_word(word: str) -> str:
    """Return ``word`` if it is a single one, perhaps with ``*`` at its end."""
    # Composed: an accent that stands by itself is no letter.
    composed = unicodedata.normalize("NFC", word)
    if not composed.removesuffix("*").isalnum():
        raise ValueError(
            "write one word of letters and digits, with * at the end for any ending"
        )
    return composed


def _distinct(topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
    """Return ``topics`` if each has a title of its own."""
    titles = [topic.title.casefold() for topic in topics]
    for topic in topics:
        if titles.count(topic.title.casefold()) > 1:
            message = f"titles that differ: {topic.title!r} is there twice"
            raise ValueError(message)
    return topics


Word = Annotated[str, AfterValidator(_one_word)]


def _pattern(pattern: str) -> str:
    """Return ``pattern`` if it can be searched for."""
    return patterns.check(pattern)


def _media_type(value: str) -> str:
    """Return ``value`` if it is a media type, or a family of them."""
    if not _MEDIA_TYPE.fullmatch(value):
        raise ValueError("a media type, e.g. application/pdf or image/*")
    return value


def _class(value: str) -> str:
    """Return ``value`` if it is a class, perhaps with ``*`` at its end."""
    if not _CLASS.fullmatch(value):
        raise ValueError(
            "a class as the channel's system writes it, e.g. VI.5;"
            " VI.* for all below VI"
        )
    return value


_CLASS = re.compile(r"(?![\s*])[^*\n]{1,100}(?<!\s)\*?")
_MEDIA_TYPE = re.compile(r"[a-z]+/(\*|[a-z0-9.+-]+)")

Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_pattern)]
Class = Annotated[str, AfterValidator(_class)]
MediaType = Annotated[str, AfterValidator(_media_type)]
Language = Annotated[str, Field(pattern="^[a-z]{2}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Rule(Section):
    """What speaks for a service: all conditions that are given must hold.

    Of a condition that lists several things, one is enough.
    """

    service: ServiceReference
    """The id of the service: ``[services.<id>]``."""

    name: Annotated[str, Field(max_length=60)] = ""
    """What staff read as the reason; the place in the list if there is none."""

    words: tuple[Word, ...] = ()
    """Whole words, whatever their case and accents; ``asfalt*``: any ending."""

    patterns: tuple[Pattern, ...] = ()
    """Regular expressions (RE2), whatever the case; found anywhere in the text."""

    channels: tuple[ChannelReference, ...] = ()
    """The channels that it came by: ``[channels.<id>]``."""

    choices: tuple[Text, ...] = ()
    """The ids of what was chosen in a menu."""

    senders: tuple[Text, ...] = ()
    """Addresses, ``*`` for any letters: ``*@asl.example.it``; never a forged one."""

    classifications: tuple[Class, ...] = ()
    """Classes of the titolario: ``VI.5``; ``VI.*``: all below. Or service codes."""

    attachments: tuple[MediaType, ...] = ()
    """Media types of an attachment: ``application/pdf``, ``image/*``."""

    languages: tuple[Language, ...] = ()
    """Languages of the text (ISO 639-1): ``en``; texts of a few words have none."""

    districts: tuple[Text, ...] = ()
    """Districts it is about, as ``[plugins.routing.places]`` finds them."""

    areas: tuple[FilePath, ...] = ()
    """GeoJSON files with the areas that it is about."""

    streets: tuple[Text, ...] = ()
    """Streets it is about, as the city's list calls them."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """What each thing found counts."""

    @model_validator(mode="after")
    def _check_asks_something(self) -> Self:
        if not any(getattr(self, name) for name in CONDITIONS):
            text = f"at least one of {', '.join(CONDITIONS)}"
            raise ValueError(text)
        return self


CONDITIONS = (
    "words",
    "patterns",
    "channels",
    "choices",
    "senders",
    "classifications",
    "attachments",
    "languages",
    "districts",
    "areas",
    "streets",
)
"""What a rule may ask."""


class Topic(Section):
    """One thing to choose, and whose it is."""

    service: ServiceReference
    """The id of the service: ``[services.<id>]``."""

    title: Annotated[str, Field(min_length=1, max_length=24)]
    """What the citizen reads; up to 20 characters fit on a button."""

    description: Annotated[str, Field(max_length=72)] = ""
    """A second line, smaller."""


class QuestionSection(Section):
    """What a citizen is asked if no rule says whose their report is."""

    text: Annotated[str, Field(min_length=1, max_length=1024)] = (
        "Di che cosa si tratta?"
    )
    """The question."""

    label: Annotated[str, Field(min_length=1, max_length=20)] = "Scegli"
    """What is on the button that opens the list."""

    otherwise: ServiceReference
    """Who gets it if the citizen does not choose in time."""

    wait_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 30
    """How long the report waits for the choice."""

    topics: Annotated[
        tuple[Topic, ...], Field(min_length=2, max_length=10), AfterValidator(_distinct)
    ]
    """What to choose from."""


class StreetColumns(Section):
    """Which column of the list of streets is what; all but the first may be missing."""

    street: Text = "street"
    """Kind and name: *Via Giuseppe Garibaldi*."""

    number: Text = "number"
    """House number, on rows that are about one house."""

    latitude: Text = "latitude"
    """WGS 84 degrees."""

    longitude: Text = "longitude"
    """WGS 84 degrees."""

    district: Text = "district"
    """The district, where there is no map of them."""


class PlacesSection(Section):
    """Where a message is about."""

    streets: FilePath | None = None
    """The city's streets: a CSV file."""

    columns: StreetColumns = StreetColumns()
    """How its columns are called."""

    districts: FilePath | None = None
    """The city's districts: a GeoJSON file with polygons."""

    district_property: Text = "name"
    """The property with the name of a district."""

    exif: bool = False
    """Whether to read where photos were taken: personal data."""


def _server(url: str) -> str:
    """Return ``url`` if personal data may go there."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    secret = parts.username or parts.password
    if secret or not parts.hostname or not (plain or parts.scheme == "https"):
        raise ValueError(
            "an address with https://, without user and password; http:// only"
            " on this machine"
        )
    return url


_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class GeocoderSection(Section):
    """A Nominatim server that is asked where addresses are; off unless it is here.

    What citizens write of a place, or their position, goes there.
    """

    base_url: Annotated[str, AfterValidator(_server)]
    """Where its ``search`` and ``reverse`` are: ``https://nominatim.example.it``."""

    city: Text
    """The city in whose streets is searched."""

    contact: Annotated[str, Field(pattern=r"^[!-~]{3,100}$")]
    """An address of yours that its operators can write to; part of the User-Agent."""

    forward: bool = True
    """Whether to ask where an address is that the list of streets doesn't know."""

    reverse: bool = True
    """Whether to ask for the address of a position."""

    timeout: Annotated[float, Field(gt=0, le=30)] = 2.0
    """Seconds that a message waits for an answer; less than ``enrich_timeout``."""

    interval_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Between two questions of a node; 1 is the least at OpenStreetMap's server."""

    cache_days: Annotated[int, Field(ge=1, le=365)] = 30
    """How long an answer is kept."""


MIN_CONFIDENCE = 0.6
"""Of the model, where the configuration says nothing."""


class ModelSection(Section):
    """A model that has learnt from the city's decided cases."""

    file: Path
    """The model, as ``gateway routing train`` writes it."""

    min_confidence: Annotated[float, Field(ge=0, le=1)] = MIN_CONFIDENCE
    """With a lower probability the citizen is asked, or the default service has it."""


class RoutingConfig(Section):
    """By which rules a message goes to which service."""

    rules: tuple[Rule, ...] = ()
    """The rule of which most was found wins; of equals the first."""

    places: PlacesSection | None = None
    """What finds out where a message is about."""

    geocoder: GeocoderSection | None = None
    """What is asked where addresses are, and what address a position has."""

    model: ModelSection | None = None
    """What decides where no rule holds."""

    question: QuestionSection | None = None
    """What to ask if nothing decides, on channels that can show a menu."""

    @model_validator(mode="after")
    def _check_places_are_known(self) -> Self:
        found = self.places or PlacesSection()
        known = found.streets or found.districts
        if not known and any(rule.districts or rule.streets for rule in self.rules):
            raise ValueError(
                "[plugins.routing.places] with streets or districts: rules ask for them"
            )
        return self
