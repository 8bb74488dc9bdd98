"""The JSON Schema that editors get."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from gateway.config import Kinds, Section, schema

HERE = Path(__file__).parent
WRONG = sorted((HERE / "wrong").glob("*.toml"))
RIGHT = sorted((HERE / "right").glob("*.toml"))
NO_TOML = {
    "not-toml",
    "duplicate-key",
    "bad-utf8",
    "byte-order-mark",
    "unfinished-list",
}
ONLY_CHECK_SEES = {
    # it knows neither the machine
    "secret-variable-unset",
    "secret-file-missing",
    "secret-file-public",
    "secret-file-is-a-folder",
    "secret-too-short",
    "file-is-not-there",
    "host-with-nul",
    # nor the values of other keys
    "default-service-unknown",
    "plugin-twice",
    "two-channels-share-a-line",
    "keys-that-do-not-go-together",
    "links-without-key",
    "service-unknown-in-a-rule",
    "channel-unknown-in-a-rule",
    "service-unknown-as-a-key",
    # nor what a validator asks for
    "unknown-timezone",
    "timezone-is-a-folder",
    "case-pattern-without-number",
    "case-pattern-broken",
    "no-such-format",
    "unknown-database",
    "database-password-in-clear",
    "validator-quotes-the-secret",
    "text-for-date",
    "links-in-clear",
    "hours-of-no-day",
    "hours-into-another",
    "hours-elsewhere",
    "hours-subdivision-unknown",
    "ladder-without-staff",
    "ladder-goes-round",
}


@pytest.fixture(scope="module")
def validator(kinds):
    """A validator of the whole file."""
    made = schema(kinds)
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def as_json(path: Path):
    """Return a file's content; editors take a date of TOML for a text."""
    return json.loads(json.dumps(tomllib.loads(path.read_text()), default=str))


def name_of(path: Path) -> str:
    return path.stem[3:]


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_right_config_fits(path: Path, validator):
    """An editor finds nothing wrong with what is right."""
    assert [] == list(validator.iter_errors(as_json(path)))


@pytest.mark.parametrize(
    "path",
    [path for path in WRONG if name_of(path) not in ONLY_CHECK_SEES | NO_TOML],
    ids=lambda path: path.stem,
)
def test_refuses_what_it_can_see(path: Path, validator):
    """An editor marks the mistakes that need no other knowledge."""
    assert list(validator.iter_errors(tomllib.loads(path.read_text())))


def test_exceptions_are_wrong_configs_that_exist():
    """No name stays in the lists above after its file is gone."""
    assert {name_of(path) for path in WRONG} >= ONLY_CHECK_SEES | NO_TOML


def test_descriptions_come_from_docstrings(validator):
    """Hovering over a key tells what the docstring of its field tells."""
    section = validator.schema["$defs"]["WebSection"]["properties"]

    assert "Largest request." == section["max_body_bytes"]["description"]


def test_holds_no_secret(kinds):
    """Neither defaults nor examples give a secret a value."""
    text = json.dumps(schema(kinds))

    assert "***" not in text
    assert "password" not in json.loads(text)["$defs"]["StoreSection"]["properties"]
    assert '"format": "password"' not in text


def test_is_right_without_any_plugin():
    """With nothing to choose from, the schema is still one."""
    empty = schema(Kinds(channels={}, connectors={}, plugins={}))

    jsonschema.Draft202012Validator.check_schema(empty)
    data = tomllib.loads(RIGHT[0].read_text())
    assert not jsonschema.Draft202012Validator(empty).is_valid(data)


def test_plugins_may_use_the_same_names():
    """Two plugins' classes of one name do not get into each other's way."""

    def made(kind):
        class Config(Section):
            value: kind

        return Config

    kinds = Kinds(
        channels={"a": made(int), "b": made(str)},
        connectors={"c": made(str)},
        plugins={"p": made(int), "q": made(bool)},
    )
    validator = jsonschema.Draft202012Validator(schema(kinds))
    right = {
        "gateway": {"name": "C", "plugins": ["p", "q"], "default_service": "s"},
        "channels": {"x": {"type": "a", "value": 1}, "y": {"type": "b", "value": "t"}},
        "services": {"s": {"name": "S", "connectors": [{"type": "c", "value": "t"}]}},
        "plugins": {"p": {"value": 1}, "q": {"value": True}},
    }

    assert [] == list(validator.iter_errors(right))
    right["channels"]["x"]["value"] = "t"
    assert list(validator.iter_errors(right))
