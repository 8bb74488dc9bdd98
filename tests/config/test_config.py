"""Configurations, right and wrong: every mistake is told with file, line and remedy."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from gateway.config import Document, Kinds, Section, enabled_plugins, load, schema
from gateway.errors import ConfigError

HERE = Path(__file__).parent
WRONG = sorted((HERE / "wrong").glob("*.toml"))
RIGHT = sorted((HERE / "right").glob("*.toml"))
# What no schema can see: it knows neither the machine nor other keys' values.
ONLY_CHECK_SEES = {
    "default-service-unknown",
    "secret-variable-unset",
    "secret-file-missing",
    "secret-file-public",
    "unknown-timezone",
    "case-pattern-without-number",
    "case-pattern-broken",
}


class PostChannel(Section):
    host: str
    """Name of the server."""
    password: SecretStr
    """Password of the mailbox."""
    port: Annotated[int, Field(ge=1, le=65535)] = 993
    security: Literal["tls", "starttls", "none"] = "tls"


class PostConnector(Section):
    to: Annotated[list[str], Field(min_length=1)]
    """Addresses of the office."""


class PostPlugin(Section):
    sender: str = "urp@comune.it"


KINDS = Kinds(
    channels={"post": PostChannel},
    connectors={"post": PostConnector},
    plugins={"post": PostPlugin},
)
SCHEMA = schema(KINDS)


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("TEST_PASSWORD", "hunter2-from-the-environment")


def problems_of(path: Path) -> list[str]:
    """Return what `gateway check` would print, with the file's name only."""
    try:
        document = Document.read(path)
        load(document, KINDS)
    except ConfigError as error:
        return [str(p).replace(str(path), path.name) for p in error.problems]
    return []


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_wrong_config_tells_every_problem(path: Path, tmp_path: Path):
    """Each mistake is told by file, line, key, what was found, what is allowed."""
    for name in (path.name, "public-secret"):
        shutil.copy(path.parent / name, tmp_path)
    (tmp_path / "public-secret").chmod(0o644)

    assert path.with_suffix(".txt").read_text().splitlines() == problems_of(
        tmp_path / path.name
    )


def test_there_are_at_least_thirty_wrong_configs():
    """The collection of mistakes does not shrink."""
    assert len(WRONG) >= 30


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_right_config_is_accepted(path: Path):
    """A right configuration has no problem, and fits the schema."""
    assert [] == problems_of(path)
    jsonschema.validate(tomllib.loads(path.read_text()), SCHEMA)


@pytest.mark.parametrize(
    "path",
    [p for p in WRONG if p.stem[3:] not in ONLY_CHECK_SEES],
    ids=lambda path: path.stem,
)
def test_schema_refuses_what_it_can_see(path: Path):
    """An editor with the schema marks the mistakes that need no other knowledge."""
    try:
        data = tomllib.loads(path.read_text())
    except ValueError:
        return  # an editor marks broken TOML by itself
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, SCHEMA)


def test_secrets_print_as_stars(monkeypatch):
    """A loaded configuration never shows a secret."""
    loaded = load(Document.read(HERE / "right" / "small.toml"), KINDS)

    assert "hunter2" not in repr(loaded)
    config = loaded.channels["posta"].config
    assert "hunter2-from-the-environment" == config.password.get_secret_value()


def test_secret_file_is_read_without_its_newline(tmp_path: Path):
    """A private file holds a secret; the line's end is not part of it."""
    text = (HERE / "right" / "small.toml").read_text()
    text = text.replace('{ env = "TEST_PASSWORD" }', '{ file = "word" }')
    (tmp_path / "gateway.toml").write_text(text)
    (tmp_path / "word").touch(mode=0o600)
    (tmp_path / "word").write_text("tre due uno\n")

    loaded = load(Document.read(tmp_path / "gateway.toml"), KINDS)

    assert "tre due uno" == loaded.channels["posta"].config.password.get_secret_value()


def test_data_folder_is_relative_to_the_file(tmp_path: Path):
    """Paths mean the same wherever the daemon is started from."""
    shutil.copy(HERE / "right" / "small.toml", tmp_path)

    store = load(Document.read(tmp_path / "small.toml"), KINDS).store

    assert tmp_path / "data" == store.data
    assert f"sqlite:///{tmp_path}/data/gateway.db" == store.resolved_url


def test_enabled_plugin_without_section_gets_its_defaults():
    """A plugin needs no section if all its keys have defaults."""
    loaded = load(Document.read(HERE / "right" / "small.toml"), KINDS)

    assert PostPlugin() == loaded.plugins["post"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "to", "env", "x"]), inner)
    ),
    max_leaves=8,
)
TABLES = st.sampled_from(["gateway", "channels", "services", "plugins", "web", "x"])


@settings(max_examples=300, deadline=None)
@given(data=st.dictionaries(TABLES, VALUES, max_size=5))
def test_no_document_raises_anything_but_config_errors(data):
    """Whatever is written, the answer is a list of problems."""
    document = Document(path=Path("x.toml"), source=b"", data=data)
    for read in (enabled_plugins, lambda d: load(d, KINDS)):
        with pytest.raises(ConfigError):
            read(document)
