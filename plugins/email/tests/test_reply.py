"""The new text of replies, judged on what the common clients send."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_email.markup import html_to_text
from gateway_email.parse import parse
from gateway_email.reply import new_text
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Inbound

TEXTS = {
    "apple_mail_it": "Buongiorno, la squadra è sul posto.",
    "gmail_en": "Fixed this morning.",
    "gmail_html_it": (
        "La buca è stata riparata.\n1. asfalto nuovo\n- segnaletica\n"
        "Modulo: [qui](https://www.comune.test/modulo)"
    ),
    "gmail_it": "Buongiorno,\nla buca è stata riparata stamattina.",
    "gmail_mobile_it": "Riparata.",
    "hours_it": "Gli orari del cantiere:\nDa: lunedì\nA: venerdì\nsolo al mattino.",
    "iphone_en": "Done.",
    "iphone_it": "Fatto.",
    "list_it": ("Ci servono:\n- una foto del tombino\n- il numero civico\n\nGrazie"),
    "only_closing_it": "Cordiali saluti\nPaolo Melis",
    "outlook_android_it": "Domani mattina passa la squadra.",
    "outlook_en": "The road team will come on Thursday.",
    "outlook_html_it": "Buongiorno,\nintervento previsto per lunedì.",
    "outlook_it": (
        "Buongiorno,\nabbiamo programmato l'intervento per giovedì.\n\n"
        "Ing. Paolo Melis\nServizio Strade"
    ),
    "outlook_old_it": "La perizia è già stata fatta.",
    "outlook_web_it": "Intervento concluso.",
    "plain_it": "Solo testo.\nDue righe.",
    "samsung_it": "Ricevuto, grazie.",
    "somebody_wrote_it": (
        "Il tecnico passa domani.\nIl signor Rossi ha scritto:\ntutto a posto."
    ),
    "thunderbird_bottom_it": "Riparata ieri.",
    "thunderbird_inline_it": "Giovedì.\nEntro il mese.",
    "thunderbird_it": (
        "La strada è di competenza della Provincia:\nabbiamo inoltrato la segnalazione."
    ),
    "thunderbird_signature_it": "Riparata.",
}
HOSTILE = ["Il ", "Il a ", "On ", "> ", "\n\n", "Da: ", "Da:\n", " ", "_", "-", "x"]


@pytest.mark.parametrize(("name", "expected"), TEXTS.items(), ids=TEXTS)
def test_new_text_of_common_clients(
    name: str,
    expected: str,
    fixture_bytes: Callable[[str], bytes],
    inbound: Callable[[bytes], Inbound],
) -> None:
    """Quoted history and signatures go, the writer's words stay."""
    raw = fixture_bytes(f"replies/{name}.eml")

    assert expected == parse(inbound(raw), key=b"k", domain="comune.test").text


def test_every_fixture_is_in_the_table() -> None:
    """No stored reply goes unjudged."""
    folder = Path(__file__).parent / "fixtures" / "replies"

    assert set(TEXTS) == {path.stem for path in folder.iterdir()}


@pytest.mark.parametrize("seed", HOSTILE)
def test_hostile_text_takes_little_time(seed: str) -> None:
    """A text made for quadratic expressions is read in less than two seconds."""
    start = time.process_time()
    new_text(seed * (200_000 // len(seed)))

    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "below",
    [
        "Maria\nP.S. La buca è davanti al civico 12.",
        "Maria Deiana\ncell. 333 123 4567",
        "Maria\nQuando passate?",
        "Maria\n" + "Dimenticavo una cosa, la buca si allarga ogni volta che piove. ",
    ],
)
def test_what_is_said_below_the_closing_stays(below: str) -> None:
    """A postscript, a question or a telephone number is no signature."""
    text = f"C'è una buca.\n\nCordiali saluti\n{below}".strip()

    assert text == new_text(text)


def test_long_text_is_kept_whole() -> None:
    """What lies beyond the part that the library reads is not lost."""
    lines = [f"riga {number}" for number in range(5_000)]

    assert lines == new_text("\n".join(lines)).splitlines()


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text raises, and one that says something is not emptied."""
    assert new_text(text) or not any(map(str.isalnum, text))


@given(st.text())
def test_any_html_is_read(html: str) -> None:
    """No HTML raises."""
    assert isinstance(html_to_text(html), str)
