"""What a citizen wants of the gateway itself, and what is for an office."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wishes
from gateway.model import Address, Attachment, ChannelId, Message, MessageId
from gateway.wishes import Asked, Wish

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = Attachment(media_type="image/png", locator="f")


def message(text: str, **more: object) -> Message:
    return Message(
        id=MessageId("m"),
        channel=ChannelId("phone"),
        external_id="x",
        sender=Address("tel", "1"),
        sent_at=AT,
        received_at=AT,
        text=text,
        **more,
    )


NAMED = Asked(wish=Wish.STATUS, name="URP-2026-000123")
BARE = Asked(wish=Wish.STATUS)
ANEW = Asked(wish=Wish.ANEW)
FOLLOWED = Asked(wish=Wish.ANEW, alone=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stato", BARE),
        (" Stato? ", BARE),
        ("STATO della mia segnalazione", BARE),
        ("status", BARE),
        ("stato URP-2026-000123", NAMED),
        ("stato\nURP-2026-000123.", NAMED),
        ("Stato pratica: URP-2026-000123", NAMED),
        ("stato n. URP-2026-000123", NAMED),
        ("status of my case URP-2026-000123", NAMED),
        ("stato URP-2026-000123\n\n-- \nAnna Rossi\nvia Roma 1", NAMED),
        ("stato\n\nInviato da iPhone", BARE),
        ("nuova", ANEW),
        ("Nuova segnalazione!", ANEW),
        ("new report", ANEW),
        ("nuova segnalazione\nuna buca in via Roma", FOLLOWED),
        ("nuova buca in via Roma", None),
        ("nuova buca\nnuova segnalazione", None),
        ("lo stato della strada è pessimo", None),
        ("una buca", None),
        ("", None),
    ],
)
def test_words(text, expected):
    """Only what says nothing else asks; the first line may begin something new."""
    assert expected == wishes.read(message(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rispondetemi anche per e-mail", (Wish.AGREE, "e-mail")),
        ("mi risponda via posta elettronica.", (Wish.AGREE, "posta elettronica")),
        ("risposte via e-mail sì", (Wish.AGREE, "e-mail")),
        ("Risposte anche via PEC: si", (Wish.AGREE, "PEC")),
        ("please reply to me by e-mail too", (Wish.AGREE, "e-mail")),
        ("answers by WhatsApp, yes!", (Wish.AGREE, "WhatsApp")),
        ("rispondetemi via mail\n\n-- \nAnna", (Wish.AGREE, "mail")),
        ("risposte via e-mail no", (Wish.WITHDRAW, "e-mail")),
        ("Non rispondetemi più per e-mail", (Wish.WITHDRAW, "e-mail")),
        ("don't answer me by e-mail any more", (Wish.WITHDRAW, "e-mail")),
        ("don\u2019t answer me by e-mail", (Wish.WITHDRAW, "e-mail")),
        ("answers by e-mail no", (Wish.WITHDRAW, "e-mail")),
        ("rispondetemi presto", None),
        ("rispondete via e-mail?", None),
        ("rispondetemi via e-mail: il telefono di casa non va", None),
        ("rispondetemi a anna@example.it", None),
        ("risposte via e-mail", None),
    ],
)
def test_where_answers_may_go(text, expected):
    """The way as written, and whether it is wanted; whatever says more is a report."""
    asked = wishes.read(message(text))

    assert expected == (asked and (asked.wish, asked.name))
    assert wishes.read(message(text, attachments=(FILE,))) is None


def test_subject_asks_too():
    """A mail's subject heads its text; a reply's own words stand below it."""
    headed = message("stato URP-2026-000123", subject="stato URP-2026-000123")
    below = message("Domanda\n\nstato", subject="Domanda")

    assert [NAMED, BARE] == [wishes.read(headed), wishes.read(below)]


def test_files_are_for_an_office():
    """Who sends a photo along wants more than an answer from us."""
    assert wishes.read(message("stato", attachments=(FILE,))) is None
    assert FOLLOWED == wishes.read(message("nuova", attachments=(FILE,)))


@given(st.text(), st.text())
def test_nothing_that_says_more_is_swallowed(before, after):
    """Whatever else a report says, it goes to an office."""
    for text in (f"{before}\nstato\nuna buca {after}", f"una buca\nstato\n{after}"):
        asked = wishes.read(message(text))
        named = asked is not None and asked.wish is Wish.STATUS and asked.name
        assert asked is None or named or asked == FOLLOWED


@given(st.text(max_size=300))
def test_reading_never_fails(text):
    """Foreign text is no reason to fail, with whatever subject."""
    wishes.read(message(text, subject=text[:20]))
