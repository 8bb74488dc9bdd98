"""Words in our mail, Italian first, from gettext catalogs.

What stands here is used by code; what only a template says stands in the template.
"""

from __future__ import annotations

import gettext
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
DOMAIN = "email"

# The msgids are English; the catalogs under `locale/` hold the other languages.
NEW_CASE = "New report"
ADDITION = "Addition to a report"
FILES_ARRIVED = "Files that have arrived later"
EDITED = "Message edited"
DELETED = "Message deleted"
REACTION = "Reaction"
ANSWER_FROM = "Answer from {city}"

NOW_SAYS = "The citizen has edited a message of theirs; it now says:"
WAS_DELETED = "The citizen has deleted a message of theirs."
REACTED = "The citizen's reaction to a message:"
CHOSEN = "The citizen has chosen from a menu:"
UNSUPPORTED = "The citizen has sent something that can't be shown here: {kind}"
FORWARDED = "Forwarded message"
FORWARDED_OFTEN = "Message forwarded many times"
UNPROVEN = "The mail server could not prove the sender's address: it may be forged."
PEC = "Registered mail (PEC): the provider certifies sender and time"
PEC_ANOMALY = "Ordinary mail that came to the PEC mailbox (anomaly): not certified"
PEC_ORDINARY = "Ordinary mail that came to the PEC mailbox: not certified"
MAYBE_REPEATED = "It may be that you have had this already."
REFERRAL = "Written in response to an advertisement"
NO_TEXT = "(no text)"

APPOINTMENT = "Appointment: {summary}"
CANCELLED_APPOINTMENT = "Cancelled appointment: {summary}"
ONCE = "When: {when}"
REPEATED = "When: {when}, then regularly"
PLACE = "Where: {place}"
ORGANISER = "Organiser: {organiser}"

FROM_TEXT = "a street in the text"
FROM_PHOTO = "where a photo was taken"
SENT_AT = "{date:%d/%m/%Y} at {date:%H:%M}"
LAST_DAY = "{date:%d/%m/%Y}"
MAIL = "e-mail"
REGISTERED_MAIL = "PEC"
TELEPHONE = "telephone"
VOICE_MESSAGE = "voice message"
BYTES = "{count} bytes"
KILOBYTES = "{count} kB"
MEGABYTES = "{count} MB"


class Texts:
    """The texts in one language."""

    def __init__(self, language: str) -> None:
        """Load the catalog of ``language``; English stands in for what has none."""
        self.language = language
        self.catalog = gettext.translation(
            DOMAIN, LOCALES, [language], fallback=language != "it"
        )

    def say(self, msgid: str, **values: object) -> str:
        """Return a text with its values filled in, as they are."""
        return self.catalog.gettext(msgid).format(**values)
