"""Words for offices, Italian first, from gettext catalogs."""

from __future__ import annotations

import gettext
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
DOMAIN = "delivery"

# The msgids are English; the catalogs under `locale/` hold the other languages.
REPORT = "New report {number} for {service}"
ADDITION = "Addition to report {number} for {service}"
FILES_ARRIVED = "Files that have arrived later for report {number}, {service}"
EDITED = "The citizen has edited a message of theirs; it now says:"
DELETED = "The citizen has deleted a message of theirs."
UNPROVEN = "The sender's address may be forged: nothing proves it."
MAYBE_REPEATED = "It may be that you have had this already, by another way."
SENDER = "From: {sender}"
SENT_AT = "Sent: {date:%d/%m/%Y} at {date:%H:%M}, by {channel}"
PLACE = "Place: {place}"
MAP = "Map: {url}"
NO_TEXT = "(no text)"
FILE = "File: {name} ({size} bytes)"
DOWNLOAD = "Download until {day:%d/%m/%Y}: {url}"
MISSING = "Missing: {what}"
REFERS_TO = "Addition to request {request}."
ADDS_TO = "Addition to report {number}: look for that number."
REFERENCE = "Ref. {number} · {delivery}"
REPORTED_BY = "Says who reports (nobody has proven it): {who}"
LINKED = "Address of a photo that they give (we have not opened it): {url}"


class Texts:
    """The texts in one language."""

    def __init__(self, language: str) -> None:
        """Load the catalog of ``language``; English stands in for what has none."""
        self._catalog = gettext.translation(
            DOMAIN, LOCALES, [language], fallback=language != "it"
        )

    def say(self, msgid: str, **values: object) -> str:
        """Return a text with its values filled in, as they are."""
        return self._catalog.gettext(msgid).format(**values)
