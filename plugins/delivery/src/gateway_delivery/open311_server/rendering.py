"""Answers as JSON or XML; pure.

Source: GeoReport v2: XML must be spoken, JSON may be. JSON's roots are lists, of one
thing too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import (
    Element,
    SubElement,
    tostring,
)

import orjson
from aiohttp import web

_SINGULAR: Final = {
    "attributes": "attribute",
    "endpoints": "endpoint",
    "errors": "error",
    "formats": "format",
    "service_requests": "request",
    "services": "service",
}
_DISCOVERY: Final = "http://open311.org/discovery/v2/discovery"
_UNCACHED: Final = {"Cache-Control": "no-store"}
"""The key stands in the address, so a cache would give to all what one may read."""

_NO_XML: Final = re.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What XML 1.0 has no way to say (§2.2, *Char*)."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is answered: ``value`` in JSON, under the root ``name`` in XML."""

    name: str
    value: Any
    status: int = 200


def respond(document: Document, form: str) -> web.Response:
    """Return the answer in the form that was asked for, ``json`` or ``xml``."""
    if form == "json":
        body, kind = orjson.dumps(document.value), "application/json"
    else:
        body, kind = to_xml(document), "text/xml"
    return web.Response(
        body=body,
        status=document.status,
        content_type=kind,
        charset="utf-8",
        headers=_UNCACHED,
    )


def to_xml(document: Document) -> bytes:
    """Return a document as XML."""
    root = Element(document.name)
    if document.name == "discovery":
        root.set("xmlns", _DISCOVERY)
    _fill(root, document.value)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _fill(element: Element, value: Any) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            _fill(SubElement(element, name), each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            _fill(SubElement(element, _SINGULAR[element.tag]), each)
    elif isinstance(value, bool):
        element.text = str(value).lower()
    elif value is not None:
        element.text = _NO_XML.sub("\ufffd", str(value))
