"""Every payload we have, and what it is read as: one line a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gateway_whatsapp.split import split

from gateway.errors import PayloadError, Unreadable
from gateway.model import (
    Address,
    AddressChange,
    Amendment,
    Attachment,
    Location,
    Message,
    Receipt,
)

INBOUND = Path(__file__).parent / "fixtures" / "inbound"
BSUID = "US.13491208655302741918"
SHEENA = "16505551234"
VOICE = "9b4e2915fd8445d6a8a53c859063c0d3e6d7de2f986367588151703a00cb4832"
MOMENT = datetime(2026, 11, 8, 20, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """What a message must be read as; the rest must be empty."""

    file: str
    text: str = ""
    choice: str = ""
    amends: str = ""
    amendment: Amendment | None = None
    flags: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    location: Location | None = None
    references: tuple[str, ...] = ()
    sender: str = BSUID
    name: str = "Test Name"
    automatic: bool = False
    aliases: tuple[str, ...] = ("972987654321",)

    def __str__(self) -> str:
        return self.file


def meta(file: str, **fields) -> Said:
    """Return a case of Meta's own examples: all are from one person."""
    return Said(
        f"meta__{file}",
        **{"sender": SHEENA, "name": "Sheena Nelson", "aliases": (), **fields},
    )


def pywa(file: str, **fields) -> Said:
    """Return a case of pywa's payloads."""
    return Said(f"pywa_{file}", **fields)


def unsupported(kind: str) -> tuple[str, ...]:
    """Return the flag of a type that is kept only."""
    return (f"unsupported:{kind}",)


def media(media_type: str, locator: str, **fields) -> tuple[Attachment, ...]:
    """Return one attachment."""
    return (Attachment(media_type=media_type, locator=locator, **fields),)


PLACE = Location(
    latitude=37.44221496582,
    longitude=-122.16165924072,
    name="Philz Coffee",
    address="101 Forest Ave, Palo Alto, CA 94301",
)
HQ = Location(
    latitude=37.4611978,
    longitude=-122.2164385,
    name="Facebook HQ",
    address="1 Hacker Way, Menlo Park, CA 94025",
)
PHOTO = "49f227634806293b0995459bc310b593e1400f41591efcf07e9bced335f41942"
ANSWERED = "wamid.HBgLMTY1MDM4Nzk0MzkVAgAR"

REACTION = {"amends": "wamid.yzxyzx=", "amendment": Amendment.REACTION}
CHOSEN = {"text": "title", "choice": "callback_data"}
FORM = (
    "comment_text: Comment Text\ndelivery_rating: 4\npurchase_rating: 2\n"
    "recommend_radio: 0\ncs_rating: 0"
)

MESSAGES = [
    meta("text_message", text="Does it come in another color?"),
    meta(
        "text_message_with_context_product_inquiry",
        text="Is this still available?",
        references=(f"{ANSWERED}GA9wcm9kdWN0X2lucXVpcnkA",),
    ),
    meta(
        "text_message_from_click_to_whatsapp_ad",
        text="Hello! Can I get more info on this?",
        flags=("referral",),
    ),
    meta(
        "image_message",
        text="Taj Mahal",
        attachments=media(
            "image/jpeg",
            "1003383421387256",
            digest=PHOTO,
        ),
    ),
    meta("location_message", location=PLACE),
    meta(
        "reaction_message",
        text="👍",
        amends="wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI0RTJEOTc2ODVERUY5RDlGNkYA",
        amendment=Amendment.REACTION,
    ),
    meta("contact_sharing_message", text="Lucía Gómez, Google, +1 (983) 555-2319"),
    meta("unsupported_message", flags=unsupported("unsupported")),
    meta(
        "button_message",
        text="Unsubscribe",
        choice="Unsubscribe",
        references=(f"{ANSWERED}GBJFNjk2OTMwNEZCQjhGMzUyQUYA",),
    ),
    meta(
        "interactive_list_reply_message",
        text="Priority Mail Express",
        choice="priority_express",
        references=(f"{ANSWERED}GBJGMzEyNzhENTZDMzNGODlDRDgA",),
    ),
    meta(
        "interactive_button_reply_message",
        text="Cancel",
        choice="cancel-button",
        references=(f"{ANSWERED}GBI3MEM2RUJFNkI0RENGQTVDRjUA",),
    ),
    meta("order_message", text="2 x di9ozbzfi4\n1 x nqryix03ez"),
    pywa("message__text", text="Body Text"),
    pywa("message__image", attachments=media("image/jpeg", "65463453")),
    pywa("message__media_with_url", attachments=media("image/jpeg", "65463453")),
    pywa(
        "message__video",
        flags=("forwarded",),
        text="caption",
        attachments=media("video/mp4", "765756756"),
    ),
    pywa(
        "message__document",
        flags=("forwarded",),
        text="caption",
        attachments=media(
            "application/pdf", "1234567890987654321", name="filename.pdf"
        ),
    ),
    pywa(
        "message__audio",
        flags=("forwarded",),
        attachments=media("audio/ogg", "1234567890987654321"),
    ),
    pywa(
        "message__voice",
        attachments=media(
            "audio/ogg",
            "1234567890987654321",
            voice=True,
            digest=VOICE,
        ),
    ),
    pywa(
        "message__static_sticker",
        attachments=media(
            "image/webp",
            "1234567890987654321",
            digest="3a64f89e18d48423083cd9a3ede78e65e0988d35e42f1a0ebfce4e3021704ae7",
        ),
    ),
    pywa(
        "message__animated_sticker",
        attachments=media("image/webp", "1234567890987654321"),
    ),
    pywa(
        "message__current_location",
        flags=("forwarded",),
        location=Location(latitude=12.25089, longitude=43.90539),
    ),
    pywa("message__chosen_location", flags=("forwarded",), location=HQ),
    pywa("message__reaction", text="😮", **REACTION),
    pywa("message__unreaction_empty", **REACTION),
    pywa("message__unreaction_no_emoji", **REACTION),
    pywa(
        "message__contacts",
        text="Chandler Bing, +1 555-555-5555\n"
        "Monica, +1 666-666-6666\n"
        "Rachel Green, +1 777-777-7777",
    ),
    pywa("message__order", text="3 x HAMBURGER\n2 x FRENCH_FRIES\n2 x SODA"),
    pywa("message__unsupported", flags=unsupported("unsupported")),
    pywa("message__unsupported_with_type", flags=unsupported("pool")),
    pywa("message__reply", text="replied text", references=("wamid.xyzxyz==",)),
    pywa("message__forwarded", text="forwarded text", flags=("forwarded",)),
    pywa(
        "message__forwarded_many_times",
        text="text forwarded many times",
        flags=("frequently_forwarded",),
    ),
    pywa("message__referral", text="BODY", flags=("referral",)),
    pywa(
        "message__interactive_message_with_err",
        flags=unsupported("interactive"),
        references=("wamid.gvwegfretge==",),
    ),
    pywa(
        "callback_button__button",
        **CHOSEN,
        references=("wamid.xyzxyz",),
    ),
    pywa(
        "callback_button__quick_reply",
        **CHOSEN,
        references=("wamid.xyzxyz==",),
    ),
    pywa("callback_button__quick_reply_without_context", **CHOSEN),
    pywa(
        "callback_selection__callback",
        **CHOSEN,
        references=("wamid.xyzxyz",),
    ),
    pywa(
        "callback_selection__description",
        **CHOSEN,
        references=("wamid.xyzxyz",),
    ),
    pywa(
        "flow_completion__completion",
        text=FORM,
        choice="flow",
        references=("wamid.gvwegfretge==",),
    ),
    pywa(
        "flow_completion__without_flow_token",
        text=FORM,
        choice="flow",
        references=("wamid.gvwegfretge==",),
    ),
    pywa(
        "deleted_message__revoke",
        amends="<ORIGINAL_WHATSAPP_MESSAGE_ID>",
        amendment=Amendment.REVOCATION,
    ),
    pywa(
        "edited_message__image",
        text="Updated image caption",
        attachments=media("image/jpeg", "1234567890"),
        amends="wamid.HBgLMTQxMjU1NTA4MjkVAgASGBQzQUNCNjk5RDUwNUZGMUZEM0VBRAA=",
        amendment=Amendment.EDIT,
        sender=SHEENA,
        name="",
        aliases=(),
    ),
    pywa(
        "system__identity_change",
        text="User identity changed",
        flags=("system:customer_identity_changed",),
        automatic=True,
        sender="972987654321",
        name="User A",
        aliases=(),
    ),
]

EXPERIMENT = (
    "Failed to send message because this user's phone number is part of an experiment"
)

# file, the ids that a person had, and the ones they have now
CHANGES = [
    ("meta__system_message", ["16505551234"], ["12195555358"]),
    ("pywa_system__phone_number_change", ["972987654321"], ["972912345678"]),
]

# file, status, Meta's id, code, text
STATUSES = [
    ("pywa_message_status__sent", "sent", "wamid.xyzxyz", "", ""),
    ("pywa_message_status__delivered", "delivered", "wamid.xyzxyz", "", ""),
    ("pywa_message_status__read", "read", "wamid.xyzxyz", "", ""),
    ("pywa_message_status__played", "read", "wamid.xyzxyz", "", ""),
    ("pywa_message_status__with_tracker", "sent", "wamid.xyzxyz", "", ""),
    ("pywa_message_status__group", "read", "<WHATSAPP_MESSAGE_ID>", "", ""),
    ("pywa_message_status__failed", "failed", "wamid.xyzxyz", "130472", EXPERIMENT),
]

IGNORED = [
    ("pywa_outgoing_message__text", "field smb_message_echoes"),
    ("pywa_outgoing_message__delete", "field smb_message_echoes"),
    ("pywa_outgoing_message__edit", "field smb_message_echoes"),
    ("pywa_user_marketing_preferences__resume", "field user_preferences"),
    ("pywa_user_marketing_preferences__signup", "field user_preferences"),
    ("meta__group_create_message", "field group_lifecycle_update"),
    ("meta__group_settings_update", "field group_settings_update"),
    ("meta__group_remove_participants", "field group_participants_update"),
]


def load(name: str) -> tuple[bytes, str]:
    """Return the raw body, and the number that it is for."""
    body = (INBOUND / f"{name}.json").read_bytes()
    value = json.loads(body)["entry"][0]["changes"][0]["value"]
    return body, value["metadata"]["phone_number_id"]


def read(channel, inbound, body: bytes, number: str) -> Message | Receipt:
    """Split and read the one item of a body, received 3 seconds after it was said."""
    [item] = split(body, number).items
    value = json.loads(body)["entry"][0]["changes"][0]["value"]
    [part] = value.get("messages") or value["statuses"]
    at = datetime.fromtimestamp(int(part["timestamp"]), UTC)
    return channel().parse(inbound(body, item, at + timedelta(seconds=3)))


@pytest.mark.parametrize("case", MESSAGES, ids=str)
def test_message(channel, inbound, case):
    """Each message is read as its line says, and as nothing more."""
    body, number = load(case.file)
    message = read(channel, inbound, body, number)

    assert isinstance(message, Message)
    assert case == Said(
        file=case.file,
        text=message.text,
        choice=message.choice,
        amends=message.amends,
        amendment=message.amendment,
        flags=message.flags,
        attachments=message.attachments,
        location=message.location,
        references=message.references,
        sender=message.sender.value,
        name=message.sender_name,
        automatic=message.automatic,
        aliases=tuple(alias.value for alias in message.aliases),
    )
    assert "whatsapp" == message.sender.scheme
    assert timedelta(seconds=3) == message.received_at - message.sent_at


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_change(channel, inbound, name, old, new):
    """A new number is no message: it says who somebody is."""
    change = read(channel, inbound, *load(name))

    assert isinstance(change, AddressChange)
    assert (old, new) == ([a.value for a in change.old], [a.value for a in change.new])


@pytest.mark.parametrize("case", STATUSES, ids=lambda case: case[0])
def test_status(channel, inbound, case):
    """Each status is read as its line says; foreign callback data is not our id."""
    receipt = read(channel, inbound, *load(case[0]))

    assert isinstance(receipt, Receipt)
    assert case[1:] == (
        receipt.status.value,
        receipt.external_id,
        receipt.code,
        receipt.text,
    )
    assert receipt.delivery_id is None


@pytest.mark.parametrize(("name", "reason"), IGNORED)
def test_ignored(name, reason):
    """What is not about messages is ignored with a reason."""
    found = split(*load(name))

    assert ((), (reason,)) == (found.items, found.ignored)


def test_every_payload_is_used():
    """No payload lies there untested."""
    used = [case.file for case in MESSAGES]
    used += [case[0] for case in (*STATUSES, *IGNORED, *CHANGES)]

    assert sorted(f"{name}.json" for name in used) == sorted(
        file.name for file in INBOUND.iterdir()
    )


@pytest.fixture
def read_changed(channel, inbound, fixture):
    """Read a payload's only part after ``change`` was made to it."""

    def make(name: str, change) -> Message | Receipt:
        payload = fixture(f"inbound/{name}.json")
        value = payload["entry"][0]["changes"][0]["value"]
        change((value.get("messages") or value["statuses"])[0], value)
        body = json.dumps(payload).encode()
        [item] = split(body, value["metadata"]["phone_number_id"]).items
        return channel().parse(inbound(body, item))

    return make


def test_our_id_comes_back(read_changed):
    """The delivery is known by the callback data we sent with it."""
    ours = "0198f2a4-7c1e-7b3a-9d55-0123456789ab"
    receipt = read_changed(
        "pywa_message_status__with_tracker",
        lambda status, _: status.update(biz_opaque_callback_data=ours),
    )

    assert ours == receipt.delivery_id


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(131000, True), (131056, True), (131047, True), (131026, False), (77, False)],
)
def test_failed_may_be_worth_another_attempt(read_changed, code, retryable):
    """As Meta's table says, also where only a status tells it."""
    errors = [{"code": code, "title": "no"}]
    receipt = read_changed(
        "pywa_message_status__failed", lambda status, _: status.update(errors=errors)
    )

    assert retryable == receipt.retryable


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], ""),
        (None, ""),
        ([{"code": 131047, "title": "Re-engagement message"}], "131047"),
        ([{"code": "131047"}], "131047"),
        ([{}], "unknown"),
        ("asdf", "unknown"),
        ([{"code": 131047, "error_data": 3}], "131047"),
    ],
)
def test_failed_is_failed_whatever_the_reason_looks_like(read_changed, errors, code):
    """A broken reason does not keep us from knowing that it failed."""
    receipt = read_changed(
        "pywa_message_status__failed", lambda status, _: status.update(errors=errors)
    )

    assert ("failed", code) == (receipt.status.value, receipt.code)


@pytest.mark.parametrize(
    "timestamp", ["asdf", "", None, -5, 0, 10**30, "9" * 30, [], True, "1697043223"]
)
def test_absurd_time_becomes_the_time_of_receipt(read_changed, timestamp):
    """A time in the future, too long ago or none: we know when it came."""
    message = read_changed(
        "pywa_message__text", lambda message, _: message.update(timestamp=timestamp)
    )

    assert MOMENT == message.sent_at


@pytest.mark.parametrize("seconds", [0, 3600, 6 * 86400])
def test_plausible_time_stays(read_changed, seconds):
    """Meta repeats for seven days: such times are as they are."""
    at = MOMENT - timedelta(seconds=seconds)
    message = read_changed(
        "pywa_message__text",
        lambda message, _: message.update(timestamp=int(at.timestamp())),
    )

    assert at == message.sent_at


@pytest.mark.parametrize("kind", ["poll", "", "<b>", None, 3, ["text"], "x" * 100])
def test_future_type_is_kept(read_changed, kind):
    """A type that does not exist yet is a message, flagged; the original is kept."""
    message = read_changed(
        "pywa_message__text", lambda message, _: message.update(type=kind)
    )
    known = kind if kind == "poll" else "unknown"

    assert ("", (f"unsupported:{known}",)) == (message.text, message.flags)


@pytest.mark.parametrize(
    ("name", "change", "path"),
    [
        ("pywa_message__text", {"text": None}, "text"),
        ("pywa_message__text", {"text": {"body": 3}}, "text.body"),
        ("pywa_message__text", {"text": "asdf"}, "text"),
        ("pywa_message__image", {"image": {}}, "image.id"),
        ("pywa_message__image", {"image": {"id": "../../me"}}, "image.id"),
        ("pywa_message__image", {"image": {"id": ""}}, "image.id"),
        (
            "pywa_message__current_location",
            {"location": {"latitude": 91, "longitude": 0}},
            "location.latitude",
        ),
        (
            "pywa_message__current_location",
            {"location": {"latitude": 0, "longitude": "9"}},
            "location.longitude",
        ),
    ],
)
def test_broken_message_is_refused_with_its_place(read_changed, name, change, path):
    """What is broken is kept and shown to staff: with the place, never the value."""
    with pytest.raises(PayloadError) as caught:
        read_changed(name, lambda message, _: message.update(change))

    assert f"entry[0].changes[0].value.messages[0].{path}" == caught.value.path


def test_nobody_is_unreadable(read_changed):
    """A message of nobody can't be answered: it is kept and shown to staff."""

    def nobody(message, value) -> None:
        del message["from"], value["contacts"]

    with pytest.raises(Unreadable, match="no usable id"):
        read_changed("pywa_message__text", nobody)


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        ("AUDIO/OGG; codecs=opus", "audio/ogg"),
        ("image/svg+xml", "image/svg+xml"),
        ("asdf", "application/octet-stream"),
        ("", "application/octet-stream"),
        (3, "application/octet-stream"),
        ("image/png\r\nX: y", "application/octet-stream"),
    ],
)
def test_media_type_has_no_parameters(read_changed, claimed, expected):
    """The claimed type is a plain one; anything else is just bytes."""
    message = read_changed(
        "pywa_message__image",
        lambda message, _: message["image"].update(mime_type=claimed),
    )

    assert expected == message.attachments[0].media_type


def test_digest_may_be_hex(read_changed):
    """Some of Meta's samples write the digest in hex."""
    digest = "ce550A105210b84304d28abc594a210154591e646b31bfd72beb25673108174c"
    message = read_changed(
        "pywa_message__image",
        lambda message, _: message["image"].update(sha256=digest),
    )

    assert digest.lower() == message.attachments[0].digest


def test_nul_is_replaced(read_changed):
    """No database takes a NUL in a text."""
    message = read_changed(
        "pywa_message__text",
        lambda message, _: message.update(
            text={"body": "a\x00b"}, context={"id": "c\x00d"}
        ),
    )

    assert ("a\ufffdb", ("c\ufffdd",)) == (message.text, message.references)


@pytest.mark.parametrize("context", [3, [], {"id": 3}, {"id": ""}, {}, "asdf"])
def test_odd_context_does_not_cost_the_text(read_changed, context):
    """What is said counts more than what it answers."""
    message = read_changed(
        "pywa_message__text", lambda message, _: message.update(context=context)
    )

    assert ("Body Text", ()) == (message.text, message.references)


def test_user_without_number(read_changed):
    """Who has a username only is known, and answered, by user id."""

    def hide(message, value) -> None:
        del message["from"], value["contacts"][0]["wa_id"]
        message["from_user_id"] = BSUID

    message = read_changed("pywa_message__text", hide)

    assert (Address("whatsapp", BSUID), ()) == (message.sender, message.aliases)
