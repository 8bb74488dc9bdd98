"""Deliveries → mail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
import structlog
from gateway_email import EmailSettings, render
from gateway_email.letters import Content
from gateway_email.render import message_id
from gateway_email.stationery import Stationery
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import (
    Address,
    Case,
    CaseId,
    CaseStatus,
    ChannelId,
    DeliveryId,
    Enclosure,
    Handover,
    Location,
    Message,
    MessageId,
    Outgoing,
    ServiceId,
)

DELIVERY = DeliveryId("0198f2a4-7c1e-7b3a-9d55-0123456789ab")
OURS = "<0198f2a4-7c1e-7b3a-9d55-0123456789ab@comune.test>"
TO = ["strade@comune.test", "viabilita@comune.test"]
PAPER = Stationery(None, "it", structlog.get_logger())


def render_handover(
    handover: Handover,
    to: list[str],
    settings: EmailSettings,
    contents: Sequence[Content] = (),
) -> EmailMessage:
    """Write to an office on our own paper."""
    return render.render_handover(handover, to, settings, PAPER, contents)


def render_outgoing(
    outgoing: Outgoing, settings: EmailSettings, contents: Sequence[Content] = ()
) -> EmailMessage:
    """Write to a citizen on our own paper."""
    return render.render_outgoing(outgoing, settings, PAPER, contents)


def _read(mail: EmailMessage) -> EmailMessage:
    """Send a mail through its wire form."""
    return BytesParser(policy=policy.default).parsebytes(mail.as_bytes())


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text.replace("\r\n", "\n")


def _enclosure(name: str = "buca.jpg", media_type: str = "image/jpeg") -> Enclosure:
    return Enclosure(
        name=name, media_type=media_type, size=3, sha256="ab" * 32, path=Path("unused")
    )


@pytest.fixture
def outgoing(handover: Callable[..., Handover]) -> Callable[..., Outgoing]:
    """Make an answer to a citizen."""

    def make(**changes: Any) -> Outgoing:
        values: dict[str, Any] = {
            "delivery_id": DELIVERY,
            "attempt": 1,
            "created_at": handover().created_at,
            "to": Address("mailto", "maria@example.it"),
            "text": "La buca è stata riparata.",
            "quote": "<m1@example.it>",
            "case_number": "URP-2026-000123",
            "purpose": "answer",
        }
        return Outgoing(**{**values, **changes})

    return make


@pytest.mark.parametrize(
    ("voice", "seconds", "told"),
    [
        (True, 42.4, "messaggio vocale, 0:42, 3 byte"),
        (True, 0.1, "messaggio vocale, 0:01, 3 byte"),
        (True, None, "messaggio vocale, 3 byte"),
        (False, 185.0, "3:05, 3 byte"),
        (False, 3723.0, "1:02:03, 3 byte"),
    ],
)
def test_office_reads_how_long_a_recording_lasts(
    handover: Callable[..., Handover],
    settings: Callable[..., EmailSettings],
    voice: bool,  # noqa: FBT001 (a column of the table)
    seconds: float | None,
    told: str,
) -> None:
    """A voice message is named as such, with its length where that is known."""
    file = replace(_enclosure("voce.ogg", "audio/ogg"), voice=voice, seconds=seconds)

    mail = _read(render_handover(handover(), TO, settings(), [(file, b"abc")]))

    assert f"- voce.ogg ({told})\n" in _text(mail)


def test_office_reads_who_when_where_and_how(
    handover: Callable[..., Handover],
    message: Callable[..., Message],
    settings: Callable[..., EmailSettings],
) -> None:
    """The body tells the office all it needs, in Italian and local time."""
    place = Location(
        latitude=39.215311,
        longitude=9.110611,
        address="Via Roma 12\nCagliari",
        district="Marina",
        source="text",
    )
    delivery = handover(message=message(location=place), missing=("voce.ogg",))
    mail = _read(
        render_handover(
            delivery,
            TO,
            settings(),
            [(_enclosure(), b"abc"), (_enclosure("film.mp4", "video/mp4"), None)],
        )
    )

    assert _text(mail) == (
        "Pratica URP-2026-000123 — Ufficio Strade\n"
        "\n"
        "Da: Maria Deiana (393290000000)\n"
        "Canale: WhatsApp\n"
        "Inviato: 29/03/2026 alle 22:04\n"
        "\n"
        "C'è una buca in via Roma, davanti al civico 12: è pericolosa.\n"
        "\n"
        "Posizione: 39.215311, 9.110611, Via Roma 12 Cagliari, Marina"
        " (una via nel testo)\n"
        "https://www.openstreetmap.org/?mlat=39.215311&mlon=9.110611"
        "#map=18/39.215311/9.110611\n"
        "\n"
        "Allegati:\n"
        "- buca.jpg (3 byte)\n"
        "\n"
        "Allegati troppo grandi per l'e-mail:\n"
        "- film.mp4 (3 byte)\n"
        "\n"
        "Allegati non disponibili:\n"
        "- voce.ogg\n"
        "\n"
        "--\n"
        "Risponda a questa e-mail: il testo arriva al cittadino (WhatsApp).\n"
        "Non modifichi l'indirizzo a cui risponde: contiene il codice della pratica.\n"
    )
    attached = [(it.get_filename(), it.get_content()) for it in mail.iter_attachments()]
    assert attached == [("buca.jpg", b"abc")]


def test_office_mail_is_threaded_marked_and_addressed(
    handover: Callable[..., Handover], settings: Callable[..., EmailSettings]
) -> None:
    """The header fields identify delivery and case, and stop automatic answers."""
    mail = _read(render_handover(handover(), TO, settings()))

    assert {
        name: mail[name]
        for name in (
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "X-Gateway-Delivery",
            "X-Gateway-Case",
            "Auto-Submitted",
            "X-Gateway-Possible-Duplicate",
        )
    } == {
        "From": "URP Comune di Prova <urp@comune.test>",
        "To": "strade@comune.test, viabilita@comune.test",
        "Subject": "[URP-2026-000123] Nuova segnalazione — "
        "C'è una buca in via Roma, davanti al civico 12: è…",
        "Date": "Sun, 29 Mar 2026 20:04:05 +0000",
        "Message-ID": OURS,
        "X-Gateway-Delivery": DELIVERY,
        "X-Gateway-Case": "URP-2026-000123",
        "Auto-Submitted": "auto-generated",
        "X-Gateway-Possible-Duplicate": None,
    }
    assert mail["Reply-To"].startswith("urp+")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "Nuova segnalazione"),
        ({"addition": True}, "Aggiunta a una segnalazione"),
        ({"follow_up": True}, "Allegati arrivati dopo"),
    ],
)
def test_subject_says_whether_it_is_new(
    handover: Callable[..., Handover],
    settings: Callable[..., EmailSettings],
    changes: dict[str, bool],
    kind: str,
) -> None:
    """A new matter, more about a known one, and files that came late, differ."""
    mail = render_handover(handover(**changes), TO, settings())

    assert mail["Subject"].startswith(f"[URP-2026-000123] {kind} — C'è una buca")


def test_every_attempt_is_recognisable_as_the_same(
    handover: Callable[..., Handover], settings: Callable[..., EmailSettings]
) -> None:
    """Message-ID, Date and reply address stay; only the mark of doubt is added."""
    first = render_handover(handover(), TO, settings())
    again = render_handover(handover(attempt=2, maybe_sent=True), TO, settings())

    for name in ("Message-ID", "Date", "Reply-To", "X-Gateway-Delivery"):
        assert first[name] == again[name]
    assert again["X-Gateway-Possible-Duplicate"] == "yes"
    doubt = "Può darsi che l'abbiate già ricevuto."
    assert [False, True] == [doubt in _text(_read(mail)) for mail in (first, again)]
    assert first["Message-ID"] == message_id(DELIVERY.upper(), "comune.test")


def test_citizens_answer_is_short_and_threaded(
    outgoing: Callable[..., Outgoing], settings: Callable[..., EmailSettings]
) -> None:
    """An answer refers to the citizen's mail; people's words bear no machine's mark."""
    mail = _read(render_outgoing(outgoing(), settings()))

    assert mail["To"] == "maria@example.it"
    assert mail["Subject"] == "[URP-2026-000123] Risposta da URP Comune di Prova"
    assert mail["In-Reply-To"] == "<m1@example.it>"
    assert mail["References"] == "<m1@example.it>"
    assert mail["Auto-Submitted"] is None
    assert mail["X-Auto-Response-Suppress"] is None
    assert _text(mail) == "La buca è stata riparata.\n"


@pytest.mark.parametrize(
    ("purpose", "mark"),
    [
        ("notice", "auto-replied"),
        ("rejection", "auto-replied"),
        ("campaign", "auto-generated"),
        ("enclosure:1", None),
        ("location", None),
        ("", "auto-replied"),
    ],
)
def test_what_no_person_wrote_is_marked(
    outgoing: Callable[..., Outgoing],
    settings: Callable[..., EmailSettings],
    purpose: str,
    mark: str | None,
) -> None:
    """Machines are asked for silence, but not for silence about bounces."""
    mail = render_outgoing(outgoing(purpose=purpose), settings())
    suppressed = mail["X-Auto-Response-Suppress"]

    assert mark == mail["Auto-Submitted"]
    assert (mark is None) == (suppressed is None)
    assert "All" not in (suppressed or "")


def test_quote_that_is_no_message_id_is_left_out(
    outgoing: Callable[..., Outgoing], settings: Callable[..., EmailSettings]
) -> None:
    """A mailbox position (mail without Message-ID) is not put into a header."""
    mail = render_outgoing(outgoing(quote="INBOX:7:12"), settings())

    assert mail["In-Reply-To"] is None


@pytest.mark.parametrize(
    "media_type",
    ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "text/plain"],
)
def test_no_enclosure_is_shown_inline(
    handover: Callable[..., Handover],
    settings: Callable[..., EmailSettings],
    media_type: str,
) -> None:
    """What a program would run or style is a file to be saved; we write the text."""
    contents = [(_enclosure("a", media_type), b"<script/>")]
    mail = _read(render_handover(handover(), TO, settings(), contents))

    ours, enclosed = mail.iter_parts()
    assert ["text/plain", "text/html"] == [
        part.get_content_type() for part in ours.iter_parts()
    ]
    assert "<script/>" not in _text(mail)
    assert (media_type, "attachment") == (
        enclosed.get_content_type(),
        enclosed.get_content_disposition(),
    )


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("image/jpeg", "image/jpeg"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
    ],
)
def test_attachment_types_that_mail_can_not_carry_go_as_bytes(
    handover: Callable[..., Handover],
    settings: Callable[..., EmailSettings],
    media_type: str,
    expected: str,
) -> None:
    """A mail within the mail keeps its bytes under a neutral type."""
    contents = [(_enclosure("a.eml", media_type), b"From: x\n\ny\n")]
    mail = _read(render_handover(handover(), TO, settings(), contents))
    [attachment] = mail.iter_attachments()

    assert expected == attachment.get_content_type()
    assert attachment.get_payload(decode=True) == b"From: x\n\ny\n"


@given(name=st.text(max_size=80), text=st.text(max_size=200))
def test_no_text_of_a_citizen_breaks_the_header(name: str, text: str) -> None:
    """Line ends, controls and surrogates in names and texts add no field."""
    handover = _plain_handover(name, text)
    settings = EmailSettings.model_validate(
        {
            "host": "localhost",
            "sender": "urp@comune.test",
            "reply_to": "urp@comune.test",
            "domain": "comune.test",
            "key": "0123456789abcdef",
        }
    )
    contents = [(_enclosure(name), b"abc")]
    mail = _read(render_handover(handover, TO, settings, contents))
    usual = render_handover(_plain_handover("", ""), TO, settings, contents)

    assert usual.keys() == mail.keys()


def _plain_handover(name: str, text: str) -> Handover:
    moment = datetime(2026, 3, 29, 20, 4, 5, tzinfo=UTC)
    case = Case(
        id=CaseId("1"),
        number="URP-2026-000123",
        service=ServiceId("strade"),
        status=CaseStatus.ASSIGNED,
        opened_at=moment,
    )
    message = Message(
        id=MessageId("1"),
        channel=ChannelId("whatsapp"),
        external_id="1",
        sender=Address("whatsapp", "393290000000"),
        sender_name=name,
        sent_at=moment,
        received_at=moment,
        text=text,
    )
    return Handover(
        delivery_id=DELIVERY,
        attempt=1,
        created_at=moment,
        service=ServiceId("strade"),
        service_name="Ufficio Strade",
        case=case,
        message=message,
    )


def test_office_reads_whom_it_can_call(handover, message, settings):
    """The telephone number, where there is one, and not the provider's id."""
    said = message(
        sender=Address("whatsapp", "IT.1349120"),
        aliases=(Address("whatsapp", "393290000000"),),
    )
    text = _text(_read(render_handover(handover(message=said), TO, settings(), [])))

    assert "393290000000" in text
    assert "IT.1349120" not in text


def test_office_reads_that_something_was_chosen(handover, message, settings):
    """A title from a menu is not the citizen's own words."""
    said = message(text="Strade e buche", choice="topic:strade")
    text = _text(_read(render_handover(handover(message=said), TO, settings(), [])))

    assert "[Il cittadino ha scelto da un menu:]\nStrade e buche" in text


@pytest.mark.parametrize(
    ("authentic", "told"), [(None, False), (True, False), (False, True)]
)
def test_office_reads_that_a_sender_is_not_proven(
    handover, message, settings, authentic, told
):
    """Only where the city's server could tell, and could not prove it."""
    said = message(authentic=authentic, text="")
    text = _text(_read(render_handover(handover(message=said), TO, settings(), [])))

    assert told is ("non ha potuto verificare il mittente" in text)
    assert "(senza testo)" in text


def test_nothing_turns_the_writing_round(handover, message, settings):
    """Control and direction marks are left out; emoji, accents and lines stay."""
    family = "\N{MAN}\u200d\N{WOMAN}"
    said = message(text=f"a\x07\x1b[31m\u202eb\u2066\nperché {family}")
    text = _text(_read(render_handover(handover(message=said), TO, settings(), [])))

    assert f"a[31mb\nperché {family}" in text


def test_large_file_is_named_with_its_link(outgoing, settings):
    """With size and last day in both forms; without links it is only named."""
    film = replace(
        _enclosure("film.mp4", "video/mp4"),
        size=19_400_000,
        url="https://gw.example.it/files/abc",
        last_day=date(2026, 12, 31),
    )
    bare = replace(film, url="", last_day=None)
    mail = _read(render_outgoing(outgoing(), settings(), [(film, None), (bare, None)]))

    assert _text(mail) == (
        "La buca è stata riparata.\n"
        "\n"
        "Allegati da scaricare:\n"
        "- film.mp4 (19 MB, fino al 31/12/2026)\n"
        "  https://gw.example.it/files/abc\n"
        "\n"
        "Allegati troppo grandi per l'e-mail:\n"
        "- film.mp4 (19 MB)\n"
    )
    html = mail.get_body(("html",)).get_content()
    assert '<a href="https://gw.example.it/files/abc">film.mp4</a>' in html
    assert [] == list(mail.iter_attachments())
