"""Names for files that have none, types for files that only have a name."""

from __future__ import annotations

_ENDINGS = {
    "application/octet-stream": ".bin",
    "application/pdf": ".pdf",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/msword": ".doc",
    "application/pkcs7-mime": ".p7m",
    "application/zip": ".zip",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
}
_TYPES = {ending: media_type for media_type, ending in _ENDINGS.items()} | {
    ".htm": "text/html",
    ".jpe": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tiff": "image/tiff",
}
_WINMAIL_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef")
_WINMAIL_NAMES = ("winmail.dat", "win.dat")
_STEMS = {"image": "image", "message": "message", "text/calendar": "invitation"}


def name_for(media_type: str, number: int) -> str:
    """Return ``image-1.jpg`` or the like, "" for a type that is no file."""
    ending = _ENDINGS.get(media_type)
    if ending is None:
        return ""
    kind = media_type.partition("/")[0]
    stem = _STEMS.get(media_type) or _STEMS.get(kind, "attachment")
    return f"{stem}-{number}{ending}"


def type_of(name: str) -> str:
    """Return the type that the ending of a name promises."""
    ending = name[name.rfind(".") :].lower()
    return _TYPES.get(ending, "application/octet-stream")


def is_winmail(media_type: str, name: str) -> bool:
    """Tell whether Outlook has packed a mail into this file."""
    return media_type in _WINMAIL_TYPES or name.lower() in _WINMAIL_NAMES
