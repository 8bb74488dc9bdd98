"""Texts for citizens, Italian first, from gettext catalogs."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

LOCALES = Path(__file__).parent / "locale"
DOMAIN = "gateway"
LANGUAGES = ("it", "en")
"""Those that we ship; of others a city has the notices, the rest is English."""

# The msgids are English; the catalogs under `locale/` hold the other languages.
NEW_CASE = (
    "Thank you, your report is {number}. We are handing it to the office: {service}."
)
ASKED = "Thank you, your report is {number}.\n\n{question}"
SETTLED = "Thank you. We are handing {number} to the office: {service}."
HELD = "Thank you, we have received your message. A member of staff will read it."
REJECTED = "Your message can't be accepted. {reason}"
ANSWER = "Answer from {service} about {number}:\n\n{text}"
NOT_CARRIED = (
    "(The office attached {count} file(s) that can't be sent here: ask for them.)"
)
CLOSED = "{number} is closed."
HANDED_ON = "Your report {number} is now with the office: {service}."
NOT_CARRIED_LINK = (
    "(The office attached a file that can't be sent here: {name}. You can download it"
    " until {day:%d/%m/%Y}: {url})"
)
LINK_OVER = "This link has expired: ask the office to send the file again."
LINK_UNKNOWN = "There is no such file, or it has been deleted."
LINK_LATER = "The file can't be had just now: try again in a few minutes."
REOPENED = "Thank you. Your report {number} is open again, with the office: {service}."
ANEW = "Please write your new report: it will get a number of its own."
ANEW_TITLE = "New report"
STATUS = (
    "{number}: {status}. Office: {service}. Opened on {opened:%d/%m/%Y}, your last"
    " message on {last:%d/%m/%Y}."
)
STATUS_ENDED = "Closed on {closed:%d/%m/%Y}."
STATUS_DUE = "The office is to answer by {due:%d/%m/%Y}."
STATUS_NONE = "You have no open reports."
STATUS_UNKNOWN = "We know no report {number} of yours."
STATUS_NEW = "registered, on its way to the office"
STATUS_WAITING = "waiting for your choice"
STATUS_ASSIGNED = "with the office"
STATUS_ANSWERED = "answered"
STATUS_CLOSED = "closed"
STATUS_REOPENED = "open again"
OPEN_AGAIN = "Your report {number} is open again."
MERGED = "Your report {old} goes on as part of {number}."
SPLIT = "A part of your report {old} has a number of its own now: {number}."
RATE = "How content are you with how we dealt with {number}?"
RATE_BY_NUMBER = (
    "How content are you with how we dealt with {number}? If you like, answer with a"
    " number from 1 (not at all) to 5 (very)."
)
RATING_LABEL = "Choose"
RATING_BEST = "5: very"
RATING_WORST = "1: not at all"
RATED = "Thank you for telling us."
RATED_REMARK = (
    "Thank you for telling us. We keep your words with {number}; no office answers"
    " them: for anything else, please write a new message."
)
OPENS_TODAY = "The office is closed; it opens again today at {time}."
OPENS_TOMORROW = "The office is closed; it opens again tomorrow at {time}."
OPENS_ON = "The office is closed; it opens again on {day} at {time}."
# How a language writes a day, in the patterns of Unicode's CLDR.
DAY_FORMAT = "EEEE d MMMM"
REMINDER = "REMINDER: {number} must be answered by {day}, {time}."
OVERDUE = (
    "OVERDUE: {number} was to be answered by {day}, {time}. It is with the office:"
    " {service}."
)
REPORT_TITLE = "Report from {start:%d/%m/%Y} to {end:%d/%m/%Y}"
REPORT_NOTE = "Open cases are those at the end of the period."
REPORT_WORKING = "Durations are in working hours."
REPORT_PLAIN = "Durations are in hours, nights and holidays included."
REPORT_CHANNELS = "Messages by channel"
REPORT_SERVICES = "Messages by office"
REPORT_HOURS = "Messages by hour of the day"
REPORT_WEEKDAYS = "Messages by day of the week"
REPORT_STATES = "Messages by state"
REPORT_VERDICTS = "Verdicts of moderation"
REPORT_OPENED = "New cases by office"
REPORT_ANSWERED = "Time to the first answer"
REPORT_CLOSED = "Time until closed"
REPORT_BACKLOG = "Open cases by age"
REPORT_MESSAGES = "messages"
REPORT_CASES = "cases"
REPORT_MEDIAN = "median, hours"
REPORT_NINETY = "nine of ten within, hours"
REPORT_ALL = "all"
REPORT_YOUNGER = "under {days} days"
REPORT_OLDER = "{days} days and more"
REPORT_NOTHING = "nothing"
POSITION = "Position: {latitude}, {longitude} {place}"
AGREED = (
    "Thank you. What we can't tell you where you wrote to us we send you by {way}, to"
    " the address from which you last wrote. To stop that, write: answers by {way} no"
)
NO_ADDRESS = (
    "We know no address of yours for answers by {way}: ask the office to note one."
)
WITHDRAWN = "We send you no more answers by {way} to what you wrote elsewhere."
OTHER_ADDRESS = (
    "(We could not answer where you wrote to us; you get this here because you agreed"
    " to it. To stop that, write: answers by {way} no)"
)
LOST_ATTACHMENT = "attachment {name} could not be fetched"
PENDING_ATTACHMENT = "attachment {name} has not arrived yet"


class Own(Protocol):
    """A city's own words (`gateway.wording`)."""

    def say(self, msgid: str, values: Mapping[str, object]) -> str | None:
        """Return them for a text of ours, None if there are none."""


class Texts:
    """The texts in one language."""

    def __init__(self, language: str, own: Own | None = None) -> None:
        """Load the catalog of ``language``; what the city says by its ``own`` is first.

        English needs no catalog, and stands in for the languages that have none.
        """
        self.language = language
        self._own = own
        self._catalog = gettext.translation(
            DOMAIN, LOCALES, [language], fallback=language != "it"
        )

    def say(self, msgid: str, **values: object) -> str:
        """Return a text with its values filled in.

        The values are put in as they are: a brace in them is no placeholder.
        """
        said = self._own.say(msgid, values) if self._own else None
        return said or self._catalog.gettext(msgid).format(**values)

    def weekday(self, local: datetime) -> str:
        """Return the name of a local time's day of the week."""
        return self._written(local, "EEEE")

    def day(self, local: datetime) -> str:
        """Return a local time's day, with its weekday and month."""
        return self._written(local, self.say(DAY_FORMAT))

    def time(self, local: datetime) -> str:
        """Return what a clock shows at a local time: ``9:00``."""
        return self._written(local, "H:mm")

    def _written(self, local: datetime, form: str) -> str:
        from babel.dates import format_datetime  # noqa: PLC0415 (few texts need it)

        return format_datetime(local, form, locale=self.language)


def texts_in(language: str, templates: Path | None = None) -> Texts:
    """Return the texts in ``language``, with a city's own in ``templates``."""
    if templates is None:
        return Texts(language)
    from gateway.wording import Wording  # noqa: PLC0415 (0.1 s that few cities need)

    return Texts(language, Wording(templates, language))
