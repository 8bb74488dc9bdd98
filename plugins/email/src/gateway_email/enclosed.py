"""The files of a mail: found, named, and taken out again by their locators.

A locator is the path of a part, ``2.1``; of a file within ``winmail.dat``, that of the
part and the file's number: ``2!3``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.errors import AttachmentError, PayloadError, Unreadable
from gateway.model import Attachment
from gateway_email import headers
from gateway_email.media import is_winmail, name_for
from gateway_email.mime import Part, leaves, read_mail

if TYPE_CHECKING:
    from gateway_email.winmail import Contents

_SUBJECT_CHARACTERS = 80


def attachments(
    parts: Sequence[Part], unpacked: Mapping[str, Contents]
) -> Iterator[Attachment]:
    """Walk the files; in place of what is ``unpacked``, by path, what was inside."""
    names = _Names()
    for part in parts:
        contents = unpacked.get(part.path)
        if contents is None or not (contents.files or contents.text or contents.html):
            content = part.content()
            yield Attachment(
                media_type=part.media_type,
                locator=part.path,
                name=part.name or names.give(part.media_type, content),
                size=len(content),
            )
            continue
        for number, file in enumerate(contents.files, start=1):
            yield Attachment(
                media_type=file.media_type,
                locator=f"{part.path}!{number}",
                name=file.name or names.give(file.media_type, file.content),
                size=len(file.content),
            )


def unpack(parts: Collection[Part]) -> dict[str, Contents]:
    """Return what is inside of each ``winmail.dat``; what can't be read stays whole."""
    # Only child processes need these libraries: importing them costs start-up time.
    from gateway_email import winmail  # noqa: PLC0415

    found = {}
    for part in parts:
        if is_winmail(part.media_type, part.name):
            try:
                found[part.path] = winmail.unpack(part.content())
            except Unreadable:
                continue
    return found


def part_content(raw: bytes, locator: str) -> bytes:
    """Return the bytes of the file at ``locator``.

    Raises:
        AttachmentError: there is no such file.

    """
    path, _, number = locator.partition("!")
    try:
        for part in leaves(read_mail(raw)):
            if part.path == path:
                return _within(part, int(number)) if number else part.content()
    except (PayloadError, *headers.BROKEN) as error:
        kind = type(error).__name__
        raise AttachmentError("unreadable", kind, retryable=False) from None
    raise AttachmentError("no_such_part", f"no part {locator}", retryable=False)


def _within(part: Part, number: int) -> bytes:
    return unpack([part])[part.path].files[number - 1].content


class _Names:
    """Names for files that came without, numbered by their kind."""

    def __init__(self) -> None:
        """Begin with 1."""
        self._counts: Counter[str] = Counter()

    def give(self, media_type: str, content: bytes) -> str:
        """Return ``image-1.jpg``, or the subject of a mail, "" if it is no file."""
        kind = media_type.partition("/")[0]
        self._counts[kind] += 1
        if media_type == "message/rfc822":
            subject = headers.subject(headers.read_headers(content.lstrip()))
            words = subject.replace("/", " ").replace("\\", " ")[:_SUBJECT_CHARACTERS]
            if words.strip():
                return f"{words.strip()}.eml"
        return name_for(media_type, self._counts[kind])
