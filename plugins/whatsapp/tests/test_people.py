"""Who wrote, in all the variants seen in the wild."""

from __future__ import annotations

import pytest
from gateway_whatsapp.people import Person, find_key, find_person

from gateway.model import Address
from gateway.payload import Payload

BSUID = "US.13491208655302741918"
NUMBER = "16505551234"


def contact(**fields):
    """Return a contact with a name."""
    return {"profile": {"name": "Sheena Nelson"}, **fields}


@pytest.mark.parametrize(
    ("contacts", "message", "expected"),
    [
        (
            [contact(wa_id=NUMBER, user_id=BSUID)],
            {"from": NUMBER},
            (BSUID, NUMBER, "Sheena Nelson"),
        ),
        ([contact(wa_id=NUMBER)], {"from": NUMBER}, ("", NUMBER, "Sheena Nelson")),
        (
            [contact(user_id=BSUID)],
            {"from_user_id": BSUID},
            (BSUID, "", "Sheena Nelson"),
        ),
        (
            [contact(wa_id=BSUID)],
            {"from": BSUID},
            (BSUID, "", "Sheena Nelson"),
        ),
        (
            [contact(wa_id=NUMBER, user_id="foo_bar")],
            {"from": NUMBER},
            ("", NUMBER, "Sheena Nelson"),
        ),
        ([contact(user_id=BSUID)], {}, (BSUID, "", "Sheena Nelson")),
        ([contact(user_id="foo_bar")], {}, ("", "", "Sheena Nelson")),
        ([], {"from": NUMBER, "from_user_id": BSUID}, (BSUID, NUMBER, "")),
        ([contact(wa_id="4916090")], {"from": NUMBER}, ("", NUMBER, "")),
        (
            [contact(wa_id="4916090"), contact(wa_id=NUMBER, user_id=BSUID)],
            {"from": NUMBER},
            (BSUID, NUMBER, "Sheena Nelson"),
        ),
        ([contact(user_id=BSUID), contact(wa_id=NUMBER)], {}, ("", "", "")),
        (
            [{"profile": {"username": "@sheena"}, "wa_id": NUMBER}],
            {"from": NUMBER},
            ("", NUMBER, "@sheena"),
        ),
        ([{"profile": 3, "wa_id": NUMBER}], {"from": NUMBER}, ("", NUMBER, "")),
        ([3, None], {"from": NUMBER}, ("", NUMBER, "")),
        ("none", {"from": 16505551234}, ("", "", "")),
        (None, ["from"], ("", "", "")),
    ],
)
def test_person_is_found(contacts, message, expected):
    """The stable id comes first, the number second; what is no id does not count.

    The intake's short form finds the same key.
    """
    found = find_person(Payload({"contacts": contacts}), Payload(message))

    assert expected == (found.bsuid, found.wa_id, found.name)
    assert found.key == find_key({"contacts": contacts}, message)


def test_number_is_an_alias_of_the_user_id():
    """Who is known by a user id can be found by the number, too."""
    assert (Address("whatsapp", NUMBER),) == Person(bsuid=BSUID, wa_id=NUMBER).aliases


def test_number_alone_has_no_alias():
    """A number that is the key is not its own alias."""
    assert () == Person(wa_id=NUMBER).aliases


def test_name_has_no_nul():
    """A NUL in a name would not go into the database."""
    contacts = [{"profile": {"name": "\x00Ma\x00ria "}, "wa_id": NUMBER}]
    found = find_person(Payload({"contacts": contacts}), Payload({"from": NUMBER}))

    assert "Maria" == found.name
