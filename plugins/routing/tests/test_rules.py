"""The rule of which most is found names the service; of equals the first."""

import csv
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_routing.conditions import Senses, conditions_of
from gateway_routing.config import Rule
from gateway_routing.languages import Languages
from gateway_routing.rules import RuleBook
from gateway_routing.words import located_words, words_of
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.model import (
    Address,
    Attachment,
    ChannelId,
    Message,
    MessageId,
)

DATA = Path(__file__).parent / "data"
CASES = tomllib.loads((DATA / "conditions.toml").read_text("utf-8"))["case"]
NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
LANGUAGES = Languages({"en"})


def rows():
    lines = (DATA / "assignments.tsv").read_text("utf-8").splitlines()
    table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [[unescaped(cell) for cell in row.values()] for row in table]


def unescaped(cell):
    return cell.encode("latin-1", "backslashreplace").decode("unicode_escape")


def rules(text):
    """Read ``service: word word; service: word``."""
    pairs = [rule.split(":") for rule in text.split(";")]
    return [Rule(service=name.strip(), words=words.split()) for name, words in pairs]


def message(text, **fields):
    fields = {"sender": "whatsapp:1", "channel": "urp", **fields}
    files = [
        Attachment(media_type=kind, locator="")
        for kind in fields.pop("attachments", ())
    ]
    return Message(
        id=MessageId("m1"),
        channel=ChannelId(fields.pop("channel")),
        external_id="x",
        sender=Address.parse(fields.pop("sender")),
        sent_at=NOW,
        received_at=NOW,
        text=text,
        attachments=tuple(files),
        **fields,
    )


def assigned(rules, text, **fields):
    return RuleBook(rules, Senses(language=LANGUAGES.guess)).assign(
        message(text, **fields)
    )


def said(found, text):
    """Return the words that the clues point at, as they are compared."""
    pieces = [text[clue.start : clue.end] for clue in found.grounds.clues]
    return [word for piece in pieces for word in words_of(piece)]


@pytest.mark.parametrize(("given", "text", "service", "words", "confidence"), rows())
def test_assignments(given, text, service, words, confidence):
    """Whole words count, whatever their case and accents; ``*`` is any ending."""
    found = assigned(rules(given), text)
    if not service:
        assert found is None
        return

    expected = (service, f"parole: {words}", "routing")
    assert expected == (found.service, found.reason, found.source)
    assert pytest.approx(float(confidence), abs=1e-4) == found.confidence
    assert words.split(", ") == said(found, text)


def test_no_rules():
    """Without rules nothing is assigned."""
    assert assigned((), "una buca") is None


WORDS = st.lists(
    st.from_regex(r"[a-cèÈ]{1,3}\*?", fullmatch=True), min_size=1, max_size=4
)


@example("A¼", [["a*"]])
@given(st.text("abcèÈ '\u0301\n") | st.text(), st.lists(WORDS, max_size=4))
def test_any_text(text, words):
    """What is named as the reason stands in the text; confidence is below 1."""
    made = [Rule(service=f"s{n}", words=each) for n, each in enumerate(words)]
    found = assigned(made, text)

    if found is not None:
        named = found.reason.removeprefix("parole: ").split(", ")
        assert set(named) <= set(words_of(text))
        assert len(named) == len(set(named))
        assert 0 < found.confidence < 1
        pointed = set(said(found, text))
        assert set(named) <= pointed
        # A letter like ¼ is several words: all of them stand where it does.
        several = any(len(words_of(letter)) > 1 for letter in text)
        assert several or set(named) == pointed


@given(
    st.lists(st.from_regex(r"[abcè]{1,3}", fullmatch=True), max_size=6),
    st.lists(WORDS, max_size=4),
    st.randoms(use_true_random=False),
)
def test_order_of_words_does_not_matter(words, keywords, chance):
    """Which service it is does not depend on where in the text its words stand."""
    made = [Rule(service=f"s{n}", words=each) for n, each in enumerate(keywords)]
    found = assigned(made, " ".join(words))
    chance.shuffle(words)
    again = assigned(made, " ".join(words))

    assert (found and found.service) == (again and again.service)
    assert (found and found.confidence) == (again and again.confidence)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_conditions(case):
    """All conditions of a rule must hold, one of each list is enough."""
    found = assigned([Rule(**rule) for rule in case["rules"]], **case["message"])

    assert case["service"] == (found.service if found else "")
    if found:
        assert case["reason"] == found.reason
        assert case["rule"] == found.grounds.rule


def test_grounds_name_the_others():
    """Whoever was beaten is kept with its score, best first, each service once."""
    made = rules("a: buca; b: buca strada asfalto; b: buca; c: buca strada")
    found = assigned(made, "una buca, strada senza asfalto")

    assert ("b", "rules[1]") == (found.service, found.grounds.rule)
    others = [(each.service, each.score) for each in found.grounds.alternatives]
    assert [("c", 2.0), ("a", 1.0)] == others


@given(st.text("abcèÈẞﬁ½ '\u0301\u0327\n") | st.text())
def test_words_stand_where_it_says(text):
    """A word's place holds that word, and no letter of another."""
    for word in located_words(text):
        assert word.text in "".join(words_of(text[word.start : word.end]))


def test_places_of_words_overlap_only_where_a_letter_is_several_words():
    """``½`` is a one and a two: both stand in it."""
    found = [
        (word.text, word.start, word.end) for word in located_words("a ½ C\u0327a")
    ]

    assert [("a", 0, 1), ("1", 2, 3), ("2", 2, 3), ("ca", 4, 7)] == found


CONDITIONS = st.fixed_dictionaries(
    {"service": st.just("a")},
    optional={
        "words": st.just(["buca"]),
        "patterns": st.just(["str.d"]),
        "channels": st.sampled_from([["urp"], ["pec"], ["urp", "pec"]]),
        "choices": st.sampled_from([["1"], ["1", "2"]]),
        "senders": st.sampled_from(
            [["*@A.it"], ["b@a.it"], ["mailto:b@*"], ["*@a.it", "x*"], ["*b@a.it"]]
        ),
        "attachments": st.just(["image/*"]),
        "classifications": st.sampled_from(
            [["VI.5"], ["vi.*"], ["VI.5*", "X"], ["x", "VI.5.1"]]
        ),
    },
).filter(lambda rule: len(rule) > 1)


@given(
    st.lists(CONDITIONS, min_size=1, max_size=4),
    st.sampled_from(["", "buca", "strada", "buca strada"]),
    st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["urp", "pec"]),
            "choice": st.sampled_from(["", "1", "2"]),
            "sender": st.sampled_from(
                ["mailto:B@a.it", "mailto:c@b.it", "whatsapp:1", "mailto:x@b.it"]
            ),
            "attachments": st.sampled_from([[], ["image/png"]]),
            "classification": st.sampled_from(["", "X", "VI", "VI.5", "VI.5.1"]),
        }
    ),
)
def test_index_misses_no_rule(given, text, fields):
    """What a rule by itself holds for, the index of all finds."""
    alone = [bool(tried(Rule(**each), text, fields)) for each in given]
    found = assigned([Rule(**each) for each in given], text, **fields)

    assert any(alone) == (found is not None)
    if found is not None:
        number = int(found.grounds.rule.removeprefix("rules[").removesuffix("]"))
        assert alone[number]


def tried(rule, text, fields):
    """Tell whether a rule holds, without any index."""
    said = message(text, **fields)
    words = not rule.words or set(rule.words) & set(words_of(text))
    patterns = not rule.patterns or re.search(rule.patterns[0], text)
    held = [holds(said) for holds in conditions_of(rule, Senses())]
    return words and patterns and all(held)
