"""A body and its items, before anything is acknowledged."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest
from gateway_whatsapp.split import MOST_PARTS, split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import PayloadError
from gateway.model import ItemKind

NUMBER = "1122334455667"
INBOUND = sorted((Path(__file__).parent / "fixtures" / "inbound").iterdir())

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)

TEXT = "inbound/pywa_message__text.json"
STATUS = "inbound/pywa_message_status__sent.json"


def value_of(payload):
    """Return the value of the first change."""
    return payload["entry"][0]["changes"][0]["value"]


def body_of(payload) -> bytes:
    """Return the bytes of a webhook."""
    return json.dumps(payload).encode()


def kinds(found):
    """Return kind and part of each item."""
    return [(item.kind.value, item.part) for item in found.items]


def test_message(fixture):
    """A message is known by Meta's id, and ordered by the sender's stable one."""
    [item] = split(body_of(fixture(TEXT)), NUMBER).items

    assert (
        "wamid.xyzxyz",
        "whatsapp:US.13491208655302741918",
        "entry[0].changes[0].value.messages[0]",
        ItemKind.MESSAGE,
    ) == (item.external_id, item.sender, item.part, item.kind)


def test_status(fixture):
    """A status is known by message, status and recipient; it waits for nobody."""
    [item] = split(body_of(fixture(STATUS)), NUMBER).items

    assert (
        "status:wamid.xyzxyz:sent:972987654321",
        "receipt:wamid.xyzxyz",
        "entry[0].changes[0].value.statuses[0]",
        ItemKind.RECEIPT,
    ) == (item.external_id, item.sender, item.part, item.kind)


def test_group_status_is_known_by_participant(fixture):
    """In a group each participant reads for themselves."""
    body = body_of(fixture("inbound/pywa_message_status__group.json"))
    [item] = split(body, "<BUSINESS_PHONE_NUMBER_ID>").items

    assert item.external_id.endswith(":read:<GROUP_PARTICIPANT_USER_PHONE_NUMBER>")


def test_every_entry_change_and_part_counts(fixture):
    """N entries x M changes x K parts are all told apart."""
    payload = fixture(TEXT)
    value = value_of(payload)
    value["messages"] *= 2
    value["statuses"] = value_of(fixture(STATUS))["statuses"]
    payload["entry"][0]["changes"] *= 2
    payload["entry"] *= 2
    expected = [
        f"entry[{e}].changes[{c}].value.{part}"
        for e in range(2)
        for c in range(2)
        for part in ("messages[0]", "messages[1]", "statuses[0]")
    ]

    assert expected == [item.part for item in split(body_of(payload), NUMBER).items]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"object":"whatsapp_business_account"}',
        b'{"object":3,"entry":[]}',
        b'{"object":"whatsapp_business_account","entry":{}}',
        b"[" * 100_000,
        b'{"object":"whatsapp_business_account","entry":"\xff"}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_unreadable_body_is_one_poison(body):
    """What is no webhook at all is kept as a whole, under its own digest."""
    [item] = split(body, NUMBER).items
    digest = hashlib.sha256(body).hexdigest()

    assert (ItemKind.POISON, f"poison:{digest}", "") == (
        item.kind,
        item.external_id,
        item.part,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p.update(entry=[]), ("empty",)),
        (lambda p: p["entry"][0].update(changes=[]), ("empty",)),
        (lambda p: p["entry"][0].pop("changes"), ("empty",)),
        (lambda p: p.update(object="page"), ("object",)),
        (lambda p: value_of(p).pop("messages"), ("empty",)),
        (lambda p: value_of(p).update(messages=None), ("empty",)),
        (
            lambda p: value_of(p)["metadata"].update(phone_number_id="1"),
            ("other phone_number_id",),
        ),
        (
            lambda p: p["entry"][0]["changes"][0].update(field="<script>"),
            ("field unknown",),
        ),
        (
            lambda p: p["entry"][0]["changes"][0].update(field="account_update"),
            ("field account_update",),
        ),
    ],
)
def test_what_is_not_for_us_is_ignored_with_a_reason(fixture, change, expected):
    """Another field, another number, nothing: nothing is stored, and it is told why."""
    payload = fixture(TEXT)
    change(payload)
    found = split(body_of(payload), NUMBER)

    assert () == found.items
    assert expected == found.ignored


def test_unknown_status_is_ignored(fixture):
    """A status that says nothing about the delivery is no receipt."""
    payload = fixture(STATUS)
    value_of(payload)["statuses"][0]["status"] = "warning"

    assert ("status unknown",) == split(body_of(payload), NUMBER).ignored


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            lambda v: v["messages"][0].pop("id"),
            "entry[0].changes[0].value.messages[0]",
        ),
        (
            lambda v: v["messages"][0].update(id=17),
            "entry[0].changes[0].value.messages[0]",
        ),
        (
            lambda v: v["messages"][0].update(id=" "),
            "entry[0].changes[0].value.messages[0]",
        ),
        (
            lambda v: v["messages"].__setitem__(0, "text"),
            "entry[0].changes[0].value.messages[0]",
        ),
        (lambda v: v.update(messages={}), "entry[0].changes[0].value.messages"),
        (
            lambda v: v["statuses"].insert(0, []),
            "entry[0].changes[0].value.statuses[0]",
        ),
        (
            lambda v: v["statuses"].insert(0, {"id": "x"}),
            "entry[0].changes[0].value.statuses[0]",
        ),
    ],
)
def test_broken_part_does_not_hold_up_the_others(fixture, spoil, expected):
    """What can't be told apart is poison; its neighbours are stored as ever."""
    payload = fixture(TEXT)
    value = value_of(payload)
    value["statuses"] = copy.deepcopy(value_of(fixture(STATUS))["statuses"])
    spoil(value)
    found = kinds(split(body_of(payload), NUMBER))

    assert ("poison", expected) in found
    assert 2 <= len(found)
    assert 1 == sum(kind == "poison" for kind, _ in found)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda p: p["entry"].insert(0, "entry"), "entry[0]"),
        (lambda p: p["entry"].insert(0, {"changes": 3}), "entry[0].changes"),
        (lambda p: p["entry"].insert(0, {"changes": [3]}), "entry[0].changes[0]"),
        (
            lambda p: p["entry"].insert(0, {"changes": [{"field": "messages"}]}),
            "entry[0].changes[0]",
        ),
        (
            lambda p: p["entry"].insert(
                0, {"changes": [{"field": "messages", "value": {"metadata": 3}}]}
            ),
            "entry[0].changes[0]",
        ),
    ],
)
def test_broken_change_does_not_hold_up_the_others(fixture, spoil, expected):
    """A change whose number can't be read is poison, the next one is stored."""
    payload = fixture(TEXT)
    spoil(payload)
    found = kinds(split(body_of(payload), NUMBER))

    assert [
        ("poison", expected),
        ("message", "entry[1].changes[0].value.messages[0]"),
    ] == found


def test_poison_has_the_same_id_at_each_repetition(fixture):
    """Meta repeats a webhook byte for byte: its poison is stored once."""
    payload = fixture(TEXT)
    del value_of(payload)["messages"][0]["id"]
    body = body_of(payload)

    assert split(body, NUMBER) == split(body, NUMBER)


def test_sender_without_id_has_a_lane_of_their_own(fixture):
    """Who can't be told apart from others does not wait behind them."""
    payload = fixture(TEXT)
    del value_of(payload)["contacts"], value_of(payload)["messages"][0]["from"]
    [item] = split(body_of(payload), NUMBER).items

    assert "wamid.xyzxyz" == item.sender


def test_endless_list_becomes_one_poison(fixture):
    """A body can't make more work than Meta's own largest."""
    payload = fixture(TEXT)
    value_of(payload)["messages"] = [{}] * (MOST_PARTS + 1)

    assert [("poison", "")] == kinds(split(body_of(payload), NUMBER))


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=st.tuples(st.sampled_from(INBOUND), st.randoms(), ANYTHING))
def test_whatever_is_signed_is_stored_or_ignored(channel, inbound, mutate, drawn):
    """Every body gives items or a reason, and every item is read or refused."""
    file, chance, also = drawn
    payload = json.loads(file.read_bytes())
    payload["entry"].append(also)
    body = json.dumps(mutate(chance, payload)).encode("utf-8", "surrogatepass")
    found = split(body, NUMBER)

    assert found.items or found.ignored
    for item in found.items:
        if item.kind is not ItemKind.POISON:
            _read(channel(), inbound(body, item))


def _read(channel, item) -> None:
    """Read an item; nothing but the one family of errors may come."""
    try:
        channel.parse(item)
    except PayloadError as error:
        assert error.complaint  # noqa: PT017 (refused is one of the two right ends)


def test_half_a_character_names_no_object_of_ours():
    """What is signed and says it is something else is not for us."""
    found = split(b'{"object":"\\ud800","entry":[]}', NUMBER)

    assert ((), ("object",)) == (found.items, found.ignored)


def test_half_a_character_keeps_nobody_else_back(fixture):
    """An escape that is no character spoils no other message of the webhook."""
    webhook = fixture("inbound/pywa_message__text.json")
    value = webhook["entry"][0]["changes"][0]["value"]
    one = value["messages"][0]
    value["messages"] = [{**one, "id": f"wamid.{n}"} for n in range(3)]
    value["messages"][1]["text"] = {"body": "buca \ud83d"}
    found = split(json.dumps(webhook).encode(), value["metadata"]["phone_number_id"])

    assert ["wamid.0", "wamid.1", "wamid.2"] == [i.external_id for i in found.items]
