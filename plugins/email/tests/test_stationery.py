"""The city's templates: what replaces what, and what is told of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import structlog
from gateway_email import EmailSettings
from gateway_email.letters import File, Letter, samples
from gateway_email.stationery import NAMES, Stationery, problems
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

TEMPLATES = Path(__file__).parent / "fixtures" / "templates"
VOID = {"br", "meta", "hr", "img"}
_OFFICES, _CITIZENS = samples("it")


class Page(HTMLParser):
    """Reads our HTML; every element must be closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _paper(folder: str = "", language: str = "it") -> Stationery:
    own = TEMPLATES / folder if folder else None
    return Stationery(own, language, structlog.get_logger())


@pytest.mark.parametrize("language", ["it", "en"])
@pytest.mark.parametrize("letter", [*_OFFICES, *_CITIZENS], ids=lambda it: it.number)
def test_our_html_is_sober_and_accessible(letter: Letter, language: str):
    """It names its language, styles inline, fetches nothing and runs nothing."""
    paper = _paper(language=language)
    letter = replace(letter, language=language)
    say = paper.citizen if type(letter) is Letter else paper.office
    page = Page(say(letter).html)
    names = [tag for tag, _ in page.tags]
    attributes = {name for _, each in page.tags for name in each}
    schemes = [each.get("content") for _, each in page.tags if "content" in each]

    assert {"img", "script", "style", "link", "iframe", "form"}.isdisjoint(names)
    assert {"src", "background", "bgcolor", "class", "id"}.isdisjoint(attributes)
    assert language == dict(page.tags)["html"]["lang"]
    assert "light dark" in schemes
    assert not any("color: #" in (each.get("style") or "") for _, each in page.tags)


def test_english_city_writes_english():
    """The language of the gateway decides."""
    said = _paper(language="en").office(_OFFICES[0])

    assert "Case URP-2026-000123 — Strade" in said.text
    assert "Attachments to download:\n- film.mp4 (19 MB, until 31/12/2026)" in said.text


@given(st.text())
def test_whatever_is_written_is_text(text: str):
    """A citizen's or an office's words make no element and no link."""
    letter = replace(_CITIZENS[1], text=text, city=text, subject=text)
    plain = replace(_CITIZENS[1], text="", city="", subject="")
    tags = [tag for tag, _ in Page(PAPER.citizen(letter).html).tags if tag != "br"]

    assert [t for t, _ in Page(PAPER.citizen(plain).html).tags if t != "br"] == tags


PAPER = _paper()


def test_links_in_a_text_stay_text():
    """Only what we offer for download is a link."""
    file = File(name="a<b>", facts="1 kB", url="https://g.example/x?a=1&b=2")
    letter = replace(
        _CITIZENS[0], text="<a href='https://evil.example'>qui</a>", downloads=(file,)
    )
    page = Page(_paper().citizen(letter).html)

    assert ["https://g.example/x?a=1&b=2"] == [
        each["href"] for tag, each in page.tags if tag == "a"
    ]
    assert "<a href='https://evil.example'>qui</a>" in page.text


def test_city_replaces_single_files():
    """One of its own for Italian, the layout for all, ours for the rest."""
    italian, english = _paper("good"), _paper("good", "en")

    assert "Gentile cittadino" in italian.citizen(_CITIZENS[0]).text
    assert "Gentile cittadino" not in english.citizen(_CITIZENS[0]).text
    assert "Comune di Prova — Comune" in english.office(_OFFICES[0]).html
    assert [] == problems(TEMPLATES / "good")


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        (
            "unknown_variable",
            "citizen.txt:3: there is no numbr (known: city, downloads",
        ),
        ("syntax", "citizen.html:2: Unexpected end of template"),
        ("attribute", "office.txt:2: 'gateway_email.letters.Place object' has no"),
        ("rare_branch", "citizen.txt:3: there is no citty"),
        ("stranger", "citzen.txt replaces nothing (known: citizen.html, citizen.txt"),
        ("wrong_folder", "de/citizen.txt replaces nothing"),
        ("escape", "citizen.txt:2: access to attribute '__class__' of 'str'"),
    ],
)
def test_wrong_template_is_a_wrong_configuration(
    settings: Callable[..., EmailSettings], folder: str, told: str
):
    """It is named with file and line, and with what there is instead."""
    with pytest.raises(ValidationError) as caught:
        settings(templates=TEMPLATES / folder)

    [error] = caught.value.errors()
    assert ("templates",) == error["loc"]
    assert told in error["msg"]


def test_no_mail_is_lost_to_a_template():
    """What fails on a real letter only is replaced by ours, and the log says so."""
    assert [] == problems(TEMPLATES / "surprise")
    with capture_logs() as logs:
        said = _paper("surprise").citizen(replace(_CITIZENS[0], text="surprise"))

    assert "surprise" in said.text
    assert [("template_failed", "citizen", "UndefinedError")] == [
        (each["event"], each["template"], each["error"]) for each in logs
    ]


def test_all_templates_are_known():
    """What the manual names is there."""
    assert {
        "citizen.html",
        "citizen.txt",
        "files.html",
        "files.txt",
        "layout.html",
        "office.html",
        "office.txt",
    } == NAMES
