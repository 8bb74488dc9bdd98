"""A city's own words: used where they are, complained of before they are needed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from gateway import texts, wording
from gateway.config.section import GatewaySection
from gateway.texts import texts_in

ROOT = Path(__file__).parents[1]
GERMAN = ROOT / "examples" / "notices"
CITY = {"name": "Prova", "plugins": ["email"], "default_service": "urp"}


def _folder(tmp_path: Path, **templates: str) -> Path:
    for name, text in templates.items():
        file = tmp_path / f"{name.replace('__', '/')}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_own_words_come_first(tmp_path: Path):
    """Of the language before those of all; what is not there is ours."""
    folder = _folder(
        tmp_path,
        it__closed="Fatto: {{ number }}.\n",
        closed="Done: {{ number }}.",
        rated="Merci!",
    )
    italian, english = texts_in("it", folder), texts_in("en", folder)

    assert "Fatto: U-1." == italian.say(texts.CLOSED, number="U-1")
    assert "Done: U-1." == english.say(texts.CLOSED, number="U-1")
    assert ["Merci!"] * 2 == [each.say(texts.RATED) for each in (italian, english)]
    assert "You have no open reports." == english.say(texts.STATUS_NONE)
    assert [] == wording.problems(folder, "it")


def test_values_are_text_and_no_template(tmp_path: Path):
    """What a citizen or an office writes is put in as it is."""
    words = texts_in("it", _folder(tmp_path, answer="{{ text }}"))

    said = words.say(texts.ANSWER, text="{{ 7 * 7 }} <b>", number="", service="")

    assert "{{ 7 * 7 }} <b>" == said


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("closed", "{{ numero }}", "closed.txt:1: no value numero; known: number"),
        ("it/rated", "\n{{ name }}", "it/rated.txt:2: no value name; known: none"),
        ("closed", "{% if %}", "closed.txt:1: Expected an expression"),
        ("closed", "{{ number | nofilter }}", "closed.txt:1: No filter named"),
        ("closed", "{{ number.__class__.__mro__ }}", "closed.txt: SecurityError"),
        ("status", "{{ opened.giorno }}", "status.txt: UndefinedError"),
        ("chiuso", "x", "chiuso.txt replaces nothing; known: agreed, "),
    ],
)
def test_what_would_fail_is_told_at_once(tmp_path: Path, name, text, problem):
    """With file and line, and what is allowed, when the configuration is read."""
    file = tmp_path / f"{name}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)

    with pytest.raises(ValidationError) as caught:
        GatewaySection.model_validate(CITY | {"templates": tmp_path})

    assert problem in str(caught.value)


def test_failure_at_night_costs_the_wording_only(tmp_path: Path):
    """What no sample could tell: the citizen reads our text, the log says so."""
    text = "{{ 'x' if number[0] == '<' else 1 // 0 }}"
    folder = _folder(tmp_path, closed=text)
    assert [] == wording.problems(folder, "it")
    with capture_logs() as logs:
        said = texts_in("it", folder).say(texts.CLOSED, number="U-1")

    assert "La segnalazione U-1 è chiusa." == said
    assert [("template_failed", "ZeroDivisionError")] == [
        (each["event"], each["error"]) for each in logs
    ]


def test_another_language_is_an_example():
    """German, whole: no notice is in another language."""
    section = GatewaySection.model_validate(
        CITY | {"language": "de", "templates": GERMAN}
    )
    words = texts_in(section.language, section.templates)
    day = datetime(2026, 3, 29, tzinfo=UTC)
    stands = words.say(
        texts.STATUS, number="U-1", status="offen", service="X", opened=day, last=day
    )

    assert "U-1: offen. Amt: X. Eröffnet am 29.03.2026" in stands
    assert "Sonntag" in words.day(day)


def test_language_without_all_its_notices_is_refused(tmp_path: Path):
    """Each that is missing is named; without templates, what is shipped."""
    with pytest.raises(ValidationError, match=r"fr/closed\.txt is missing"):
        GatewaySection.model_validate(CITY | {"language": "fr", "templates": tmp_path})
    with pytest.raises(
        ValidationError, match="language it, en, or another one with templates"
    ):
        GatewaySection.model_validate(CITY | {"language": "fr"})
