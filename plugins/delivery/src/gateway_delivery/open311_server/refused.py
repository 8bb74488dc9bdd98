"""What a request is refused with: a status, and why, as GeoReport's list of errors."""

from __future__ import annotations

from http import HTTPStatus


class Refused(Exception):
    """A request that can't be served; its text is for whoever made it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        """Refuse with ``status`` (4xx)."""
        super().__init__(text)
        self.status = status
