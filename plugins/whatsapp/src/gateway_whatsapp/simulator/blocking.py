"""``/{phone-number-id}/block_users`` (*Block users*)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, model_validator

from gateway.payload import Payload
from gateway_whatsapp.people import is_bsuid
from gateway_whatsapp.simulator.account import page
from gateway_whatsapp.simulator.citizens import Citizens, canonical
from gateway_whatsapp.simulator.faults import GraphError
from gateway_whatsapp.simulator.strict import (
    NotEmpty,
    Strict,
    missing,
    refusal,
)

_SOME_FAILED, _FULL, _NOT_WRITTEN = 139100, 139101, 131047


class User(Strict):
    """Somebody, by number or by user id."""

    user: NotEmpty | None = None
    user_id: NotEmpty | None = None

    @model_validator(mode="after")
    def _check_one(self) -> User:
        if (self.user is None) == (self.user_id is None):
            raise missing("one of user and user_id")
        return self

    @property
    def input(self) -> str:
        """Return the id as it was given."""
        return self.user or self.user_id or ""


class Request(Strict):
    """What is posted or deleted."""

    messaging_product: NotEmpty
    block_users: list[User] = Field(min_length=1, max_length=1000)


class BlockList:
    """Who is blocked by which number; ``most`` fit on a list."""

    def __init__(self, citizens: Citizens) -> None:
        """Keep who wrote."""
        self._citizens = citizens
        self.most = 64_000

    def add(self, number: str, payload: Payload) -> dict[str, Any]:
        """Block those who wrote within the last 24 hours.

        Raises:
            GraphError: the request is wrong, the list is full, or somebody did not.

        """
        users = _read(payload)
        blocked = self._citizens.blocked.setdefault(number, {})
        if len(blocked) + len(users) > self.most:
            raise GraphError(_FULL, "Blocklist limit reached")
        added, failed = [], []
        for user in users:
            person = canonical(user.input)
            if not self._citizens.is_open(person):
                failed.append({**_shown(user), "errors": [_NOT_RECENT]})
                continue
            if not self._citizens.is_blocked(number, person):
                blocked[person] = None
            added.append(_shown(user))
        told = _told(added_users=added, **({"failed_users": failed} if failed else {}))
        if failed:
            text = (
                "Failed to block some users,"
                " see the block_users response list for details"
            )
            raise GraphError(_SOME_FAILED, text, beside=told)
        return told

    def remove(self, number: str, payload: Payload) -> dict[str, Any]:
        """Unblock people; who is not blocked is no fault.

        Raises:
            GraphError: the request is wrong.

        """
        users = _read(payload)
        for user in users:
            self._citizens.unblock(number, canonical(user.input))
        return _told(removed_users=[_shown(user) for user in users])

    def show(self, number: str, query: Any) -> dict[str, Any]:
        """Return a page of the list."""
        return page(
            [
                {"messaging_product": "whatsapp", _key(person): person}
                for person in self._citizens.blocked.get(number, {})
            ],
            query,
        )


_NOT_RECENT = {
    "message": "Re-engagement required",
    "code": _NOT_WRITTEN,
    "error_data": {"details": "User has not messaged in the last 24 hours"},
}


def _read(payload: Payload) -> list[User]:
    try:
        return Request.model_validate(payload.value).block_users
    except ValidationError as error:
        raise refusal(error) from None


def _key(person: str) -> str:
    return "user_id" if is_bsuid(person) else "wa_id"


def _shown(user: User) -> dict[str, Any]:
    person = canonical(user.input)
    return {"input": user.input, _key(person): person}


def _told(**lists: list[dict[str, Any]]) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "block_users": lists}
