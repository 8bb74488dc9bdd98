"""Mail → message: a table of stored mails, limits, and tricks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from gateway_email import reply_token
from gateway_email.enclosed import part_content
from gateway_email.parse import parse
from gateway_email.senders import sender_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import AttachmentError, PayloadError
from gateway.model import (
    Address,
    ChannelId,
    Inbound,
    InboxId,
    ItemKind,
    Message,
    Original,
)

KEY = b"0123456789abcdef"
DOMAIN = "comune.test"
OURS = "<0198f2a4-7c1e-7b3a-9d55-0123456789ab@comune.test>"
MARIA = "maria.deiana@example.it"
STORED = datetime(2026, 3, 29, 20, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A stored mail and what is read from it; None: not looked at."""

    file: str
    text: str | None = None
    sender: str = MARIA
    name: str | None = None
    external_id: str | None = None
    attachments: list[tuple[str, str, str]] | None = None
    references: tuple[str, ...] | None = None
    automatic: bool = False
    sent_at: datetime | None = None

    def __str__(self) -> str:
        """Name the case by its file."""
        return self.file


CASES = [
    Case(
        file="citizen_plain",
        text="Buca in via Roma\n\nDavanti al civico 12 c'è una buca.",
        name="Maria Deiana",
        external_id="<m1@example.it>",
        attachments=[],
        references=(),
        sent_at=STORED,
    ),
    Case(
        file="citizen_photo",
        text="Buca in via Roma\n\nEcco la foto.",
        attachments=[
            ("2", "image/jpeg", "buca via Roma è qui.jpg"),
            ("3", "application/pdf", "modulo.pdf"),
        ],
    ),
    Case(
        file="apple_split",
        text="Buca in via Roma\n\nPrima della foto.\n\nDopo la foto.",
        attachments=[("2", "image/jpeg", "IMG_0001.jpg")],
    ),
    Case(
        file="forwarded_mail",
        text="Vedi allegato.",
        attachments=[("2", "message/rfc822", "richiesta.eml")],
    ),
    Case(file="lying_charset", text="Buca in via Roma\n\nPerché non c'è luce?"),
    Case(file="unknown_charset", text="Buca in via Roma\n\nPerché?"),
    Case(file="no_message_id", external_id="INBOX:1:1"),
    Case(file="no_date", sent_at=STORED),
    Case(file="empty_body", text="Buca in via Roma"),
    Case(file="raw_8bit_headers", text="Però c'è\n\nCiao."),
    Case(file="raw_latin1_subject", text="Città e viabilità: perché?\n\nCiao."),
    Case(
        file="office_references",
        text="Fatto.",
        sender="strade@comune.test",
        references=(OURS, "<primo@example.it>"),
    ),
    Case(
        file="office_broken_references",
        text="Fatto.",
        sender="strade@comune.test",
        references=("<two@x>", "<one@x>"),
    ),
    Case(file="vacation_auto_submitted", automatic=True),
    Case(file="vacation_exchange", automatic=True),
    Case(file="vacation_subject_only", automatic=True),
    Case(file="newsletter", automatic=True),
    Case(file="bounce_null_path", automatic=True),
    Case(
        file="bounce_report",
        automatic=True,
        sender="mailer-daemon@mx.example.it",
        attachments=[("2", "message/delivery-status", "")],
    ),
    Case(file="not_automatic", automatic=False),
    Case(file="sender_encoded", sender="x@example.it", name="Città di Prova"),
    Case(file="sender_comment", sender="x@example.it"),
    Case(file="broken_boundary"),
    Case(file="broken_content_type", text="Buca in via Roma\n\nCiao."),
    Case(file="broken_base64"),
]
REFUSED = [
    "sender_angle_trick",
    "sender_comment_trick",
    "sender_missing",
    "sender_name_trick",
    "sender_newline",
    "sender_nul",
    "sender_twice",
    "sender_two",
]


def _found(case: Case, message: Message) -> Case:
    """Return the message in the form of the case, leaving out what it leaves out."""
    attachments = [(it.locator, it.media_type, it.name) for it in message.attachments]
    return Case(
        file=case.file,
        text=None if case.text is None else message.text,
        sender=message.sender.value,
        name=None if case.name is None else message.sender_name,
        external_id=None if case.external_id is None else message.external_id,
        attachments=None if case.attachments is None else attachments,
        references=None if case.references is None else message.references,
        automatic=message.automatic,
        sent_at=None if case.sent_at is None else message.sent_at,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_stored_mail_is_read(
    case: Case,
    fixture_bytes: Callable[[str], bytes],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """Each stored mail gives the message the table says."""
    item = inbound(fixture_bytes(f"inbound/{case.file}.eml"))
    message = parse(item, key=KEY, domain=DOMAIN)

    assert case == _found(case, message)
    assert str(item.id) == str(message.id)


@pytest.mark.parametrize("file", REFUSED)
def test_doubtful_sender_is_refused(
    file: str,
    fixture_bytes: Callable[[str], bytes],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """A From that could mean two people means nobody; no value is in the error."""
    raw = fixture_bytes(f"inbound/{file}.eml")
    with pytest.raises(PayloadError) as caught:
        parse(inbound(raw), key=KEY, domain=DOMAIN)

    assert str(caught.value) == "From: expected one readable address"
    assert sender_of(raw) == ""


def test_every_fixture_is_in_a_table() -> None:
    """No stored mail goes unjudged."""
    folder = Path(__file__).parent / "fixtures" / "inbound"

    assert {path.stem for path in folder.iterdir()} == {
        *REFUSED,
        *(case.file for case in CASES),
    }


def test_sender_for_ordering_is_the_messages_sender(
    fixture_bytes: Callable[[str], bytes],
) -> None:
    """The address by which work is shared out is that of the message."""
    raw = fixture_bytes("inbound/citizen_plain.eml")

    assert str(Address("mailto", MARIA)) == sender_of(raw)


@pytest.mark.parametrize(
    "field", ["To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To"]
)
def test_token_address_becomes_the_nearest_reference(
    field: str, fixture_bytes: Callable[[str], bytes], inbound: Callable[..., Inbound]
) -> None:
    """Mail to a signed reply address refers to our delivery, before all else."""
    delivery = UUID("0198f2a4-1111-7000-8000-000000000009")
    token = reply_token.encode(delivery, KEY)
    raw = fixture_bytes("inbound/office_references.eml")
    header = f"{field}: URP <urp+{token.upper()}@comune.test>\r\n"
    message = parse(inbound(header.encode() + raw), key=KEY, domain=DOMAIN)

    assert (f"<{delivery}@comune.test>", OURS) == message.references[:2]


def test_token_signed_by_another_is_no_reference(
    fixture_bytes: Callable[[str], bytes], inbound: Callable[..., Inbound]
) -> None:
    """A made-up token refers to nothing, and the mail is read all the same."""
    delivery = UUID("0198f2a4-1111-7000-8000-000000000009")
    token = reply_token.encode(delivery, b"another key")
    raw = fixture_bytes("inbound/citizen_plain.eml")
    header = f"Delivered-To: urp+{token}@comune.test\r\n"

    assert (
        parse(inbound(header.encode() + raw), key=KEY, domain=DOMAIN).references == ()
    )


def test_attachment_bytes_come_from_the_original(
    fixture_bytes: Callable[[str], bytes],
) -> None:
    """A locator finds the decoded bytes again; a wrong one is a lasting error."""
    raw = fixture_bytes("inbound/citizen_photo.eml")

    assert part_content(raw, "3") == b"%PDF-1.4\n"
    with pytest.raises(AttachmentError, match="no_such_part"):
        part_content(raw, "9")


def test_mail_within_mail_is_an_attachment_with_its_source(
    fixture_bytes: Callable[[str], bytes],
) -> None:
    """A forwarded mail keeps its header and body."""
    content = part_content(fixture_bytes("inbound/forwarded_mail.eml"), "2")

    assert content.startswith(b"From: altro@example.it")
    assert b"Testo interno." in content


def _nested(depth: int) -> bytes:
    head = b"From: a@example.it\nMIME-Version: 1.0\n"
    levels = [
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (level, level)
        for level in range(depth)
    ]
    return head + b"".join(levels) + b"Content-Type: text/plain\n\nx\n"


def _wide(parts: int) -> bytes:
    head = b'From: a@example.it\nContent-Type: multipart/mixed; boundary="a"\n\n'
    return head + b"--a\n\nx\n" * parts + b"--a--\n"


@pytest.mark.parametrize(
    "raw",
    [_nested(30), _nested(1_000), _wide(500), _wide(100_000)],
    ids=["deep", "very deep", "wide", "very wide"],
)
def test_bombs_are_unreadable(raw: bytes, inbound: Callable[..., Inbound]) -> None:
    """Too many or too deep parts are refused, as data that can't be read."""
    with pytest.raises(PayloadError):
        parse(inbound(raw), key=KEY, domain=DOMAIN)


def test_huge_header_block_is_unreadable(inbound: Callable[..., Inbound]) -> None:
    """A header block beyond the limit is refused."""
    raw = b"From: a@example.it\n" + b"X-Filler: x\n" * 10_000 + b"\nCiao.\n"
    with pytest.raises(PayloadError, match="headers: more than 65536 octets"):
        parse(inbound(raw), key=KEY, domain=DOMAIN)


@given(raw=st.binary(max_size=2_000))
def test_any_bytes_give_a_message_or_a_payload_error(raw: bytes) -> None:
    """Nothing but `PayloadError` is raised, whatever comes."""
    _read_or_refuse(b"From: a@example.it\n" + raw)


@given(
    at=st.integers(min_value=0, max_value=900), junk=st.binary(min_size=1, max_size=8)
)
def test_damaged_mail_gives_a_message_or_a_payload_error(at: int, junk: bytes) -> None:
    """Nor for a real mail with some bytes replaced."""
    folder = Path(__file__).parent / "fixtures" / "inbound"
    raw = (folder / "citizen_photo.eml").read_bytes()
    _read_or_refuse(raw[:at] + junk + raw[at + len(junk) :])


def _read_or_refuse(raw: bytes) -> None:
    original = Original(
        id="1", channel=ChannelId("posta"), body=raw, headers={}, received_at=STORED
    )
    item = Inbound(
        id=InboxId("1"),
        channel=ChannelId("posta"),
        external_id="INBOX:1:1",
        kind=ItemKind.MESSAGE,
        part="",
        sender="",
        original=original,
    )
    sender_of(raw)
    try:
        message = parse(item, key=KEY, domain=DOMAIN)
    except PayloadError:
        return
    for attachment in message.attachments:
        part_content(raw, attachment.locator)
