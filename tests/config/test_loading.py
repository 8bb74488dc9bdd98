"""Configurations, right and wrong: every mistake is told with file, line and remedy."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config import Document, enabled_plugins, load, plugin_name, secret_files
from gateway.errors import ConfigError

HERE = Path(__file__).parent
WRONG = sorted((HERE / "wrong").glob("*.toml"))
RIGHT = sorted((HERE / "right").glob("*.toml"))
SMALL = HERE / "right" / "small.toml"
HOOK = '[channels.hook]\ntype = "hook"\ntokens = [{ env = "TEST_PASSWORD" }]\n'


def problems_of(path: Path, kinds) -> list[str]:
    """Return what `gateway check` prints, with the file's name only."""
    try:
        document = Document.read(path)
        enabled_plugins(document)
        load(document, kinds)
    except ConfigError as error:
        return [str(p).replace(str(path), path.name) for p in error.problems]
    return []


def placed(path: Path, folder: Path) -> Path:
    """Copy a configuration to where the modes of files are known."""
    shutil.copy(path, folder)
    shutil.copy(HERE / "wrong" / "public-secret", folder)
    (folder / "public-secret").chmod(0o644)
    return folder / path.name


def loaded_with(addition: str, folder: Path, kinds):
    """Load the small configuration and more, from ``folder``."""
    path = folder / "gateway.toml"
    path.write_text(f"{SMALL.read_text()}\n{addition}")
    return load(Document.read(path), kinds)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_wrong_config_tells_every_problem(path: Path, tmp_path: Path, kinds):
    """Each mistake is told by file, line, key, what was found, what is allowed."""
    expected = path.with_suffix(".txt").read_text().splitlines()

    assert expected == problems_of(placed(path, tmp_path), kinds)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_no_secret_is_ever_told(path: Path, tmp_path: Path, kinds):
    """Neither a secret put into the file by mistake nor a resolved one is shown."""
    assert "hunter2" not in "\n".join(problems_of(placed(path, tmp_path), kinds))


def test_wrong_configs_are_many_and_complete():
    """The collection does not shrink, and each mistake has its text."""
    assert len(WRONG) >= 70
    texts = {path.stem for path in (HERE / "wrong").glob("*.txt")}
    assert {path.stem for path in WRONG} == texts


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_right_config_is_accepted(path: Path, kinds):
    """A right configuration has no problem."""
    assert [] == problems_of(path, kinds)


def test_missing_file_is_one_problem(tmp_path: Path, kinds):
    """A file that is not there, or can't be read, is told like any other problem."""
    expected = "no.toml: (the file): found No such file or directory; "
    assert [f"{expected}allowed: a readable file"] == problems_of(
        tmp_path / "no.toml", kinds
    )
    assert len(problems_of(tmp_path, kinds)) == 1


def test_settings_hold_every_section_typed(kinds):
    """Each part is an instance of the type that owns it; lists are tuples."""
    loaded = load(Document.read(HERE / "right" / "whole.toml"), kinds)

    assert loaded.gateway.join_minutes == 30
    assert loaded.web.port == 0
    assert kinds.channels["post"] is type(loaded.channels["posta"].config)
    assert loaded.channels["posta"].type == "post"
    (connector,) = loaded.services["urp"].connectors
    assert connector.config.to == ["urp@comune.it"]
    assert loaded.plugins["post"].sender == "urp@comune.it"


def test_settings_are_frozen(kinds):
    """Nobody changes a configuration that is in use."""
    loaded = load(Document.read(SMALL), kinds)

    with pytest.raises(ValidationError):
        loaded.web.port = 1


def test_every_kind_of_value_is_read(tmp_path: Path, kinds, secret):
    """Nested sections, lists, tables, dates and alternatives hold what was written."""
    loaded = loaded_with(
        f"{HOOK}"
        'by_name = { a = { env = "TEST_PASSWORD" } }\n'
        'retry = "never"\nopened = 2026-01-01\nrooms = { r1 = 2 }\n'
        'rules = [{ word = "buca", token = { env = "TEST_PASSWORD" } }]\n',
        tmp_path,
        kinds,
    )

    hook = loaded.channels["hook"].config
    assert hook.tokens[0].get_secret_value() == secret
    assert hook.by_name["a"].get_secret_value() == secret
    assert hook.rules[0].token.get_secret_value() == secret
    assert (hook.retry, hook.opened, hook.rooms) == (
        "never",
        date(2026, 1, 1),
        {"r1": 2},
    )
    assert secret not in repr(loaded)
    assert secret not in loaded.model_dump_json()


def test_secret_file_is_read_without_its_newline(tmp_path: Path, kinds):
    """A private file holds a secret; the line's end is not part of it."""
    (tmp_path / "word").touch(mode=0o600)
    (tmp_path / "word").write_text(f"{'tre due uno ' * 4}\n")

    loaded = loaded_with(f'{HOOK}key = {{ file = "word" }}\n', tmp_path, kinds)

    key = loaded.channels["hook"].config.key
    assert key.get_secret_value() == "tre due uno " * 4


def test_secret_of_a_container_may_be_readable(tmp_path: Path, kinds, monkeypatch):
    """Docker and Podman mount secrets with mode 0444: only the container sees them."""
    mounted = tmp_path / "run-secrets" / "key"
    mounted.parent.mkdir()
    mounted.write_text("tre due uno " * 4)
    mounted.chmod(0o444)
    monkeypatch.setattr(secret_files, "CONTAINER_SECRETS", mounted.parent)

    loaded = loaded_with(f'{HOOK}key = {{ file = "{mounted}" }}\n', tmp_path, kinds)

    key = loaded.channels["hook"].config.key
    assert key.get_secret_value() == "tre due uno " * 4


@pytest.mark.parametrize("name", ["run-secrets/../word", "run-secrets/link"])
def test_only_files_of_the_container_may_be_readable(
    tmp_path: Path, kinds, monkeypatch, name
):
    """A path that only leads through the folder of secrets excuses nothing."""
    folder = tmp_path / "run-secrets"
    folder.mkdir()
    (tmp_path / "word").write_text("tre due uno " * 4)
    (tmp_path / "word").chmod(0o444)
    (folder / "link").symlink_to(tmp_path / "word")
    monkeypatch.setattr(secret_files, "CONTAINER_SECRETS", folder)

    with pytest.raises(ConfigError, match="which everybody may read"):
        loaded_with(f'{HOOK}key = {{ file = "{name}" }}\n', tmp_path, kinds)


def test_secrets_of_containers_are_where_engines_mount_them():
    """Docker, Podman and Compose all mount at one place."""
    assert Path("/run/secrets") == secret_files.CONTAINER_SECRETS


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "which is empty"),
        (b"\n", "which is empty"),
        (b"  \n\n", "which is empty"),
        (b"hunter2\xff", "(no UTF-8)"),
        (b"hunter2" * 20_000, "(file too large)"),
    ],
)
def test_useless_secret_file_is_told(tmp_path: Path, kinds, content, found):
    """A secret file that can't be used is named; nothing of it is shown."""
    (tmp_path / "word").touch(mode=0o600)
    (tmp_path / "word").write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        loaded_with(f'{HOOK}key = {{ file = "word" }}\n', tmp_path, kinds)

    assert found in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_variable_that_is_no_utf8_is_told(tmp_path: Path, kinds, monkeypatch):
    """Bytes of another encoding in the environment are a problem like any other."""
    monkeypatch.setitem(os.environ, "TEST_PASSWORD", "hunter2\udcff")

    with pytest.raises(ConfigError, match="TEST_PASSWORD, which is no UTF-8"):
        loaded_with("", tmp_path, kinds)


def test_paths_are_relative_to_the_file(tmp_path: Path, kinds, monkeypatch):
    """Paths mean the same wherever the daemon is started from."""
    (tmp_path / "ca.pem").touch()
    monkeypatch.chdir("/")

    loaded = loaded_with(f'{HOOK}certificate = "ca.pem"\n', tmp_path, kinds)

    assert loaded.channels["hook"].config.certificate == tmp_path / "ca.pem"
    assert loaded.store.data == tmp_path / "data"
    assert loaded.store.resolved_url == f"sqlite:///{tmp_path}/data/gateway.db"


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ('data = "var"', "sqlite:///{folder}/var/gateway.db"),
        ('data = "/srv/urp"', "sqlite:////srv/urp/gateway.db"),
        ('url = "sqlite:////srv/g.db"', "sqlite:////srv/g.db"),
        ('url = "postgresql://gateway@db/gateway"', "postgresql://gateway@db/gateway"),
        ('url = { env = "TEST_URL" }', "postgresql://gateway:hunter2@db/gateway"),
    ],
)
def test_database_url_is_resolved(tmp_path, kinds, monkeypatch, store, expected):
    """SQLite's file lies in the data folder; a password comes from outside."""
    monkeypatch.setenv("TEST_URL", "postgresql://gateway:hunter2@db/gateway")

    loaded = loaded_with(f"[store]\n{store}\n", tmp_path, kinds)

    assert loaded.store.resolved_url == expected.format(folder=tmp_path)
    assert "hunter2" not in repr(loaded)


def test_path_too_long_is_a_problem(tmp_path: Path, kinds):
    """What the file system refuses to look for is told, not raised."""
    with pytest.raises(ConfigError, match="file name too long"):
        loaded_with(f'{HOOK}certificate = "{"x" * 5000}"\n', tmp_path, kinds)


def test_enabled_plugin_without_section_gets_its_defaults(kinds):
    """A plugin needs no section if all its keys have defaults."""
    loaded = load(Document.read(SMALL), kinds)

    assert loaded.plugins["post"] == kinds.plugins["post"]()


def test_plugin_list_is_read_although_the_rest_is_wrong():
    """Only then can every problem of the file be told at once."""
    document = Document.read(HERE / "wrong" / "12-unknown-language.toml")

    assert ["post"] == enabled_plugins(document)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("email", "email"),
        ("plugins/my.py:Plugin", "my"),
        ("C:/x/my.py:Plugin", "my"),
        ("odd:name", "odd:name"),
    ],
)
def test_plugin_in_one_file_has_the_name_of_the_file(entry, name):
    """``[plugins.my]`` configures ``path/my.py:Class``."""
    assert plugin_name(entry) == name


KEYS = st.sampled_from(
    [
        "gateway", "store", "web", "log", "channels", "services", "plugins",
        "name", "default_service", "case_pattern", "timezone", "url", "data", "port",
        "posta", "urp", "post", "type", "host", "password", "connectors", "to",
        "tokens", "key", "rules", "by_name", "rooms", "retry", "certificate", "opened",
        "env", "file", "", "x", "a b", "[key]", "int",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(["post", "hook", "urp", "TEST_PASSWORD", "\0", "{year}{number}"]),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([date(2026, 1, 1), time(1), datetime(2026, 1, 1)]),  # noqa: DTZ001
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


def mutated(data, path, value):
    """Return ``data`` with another value at ``path``, as far as it leads."""
    if not path or not isinstance(data, dict):
        return value
    first, *rest = path
    return {**data, first: mutated(data.get(first), rest, value)}


def assert_told(read, source):
    """Check that reading ends well, or with problems of one line each."""
    problems = ()
    try:
        read(source)
    except ConfigError as error:
        problems = error.problems or pytest.fail("an error without problems")
    assert [] == [str(each) for each in problems if not str(each).isprintable()]


@settings(max_examples=300, deadline=None)
@given(path=st.lists(KEYS, max_size=4), value=VALUES)
def test_no_document_raises_anything_but_config_errors(kinds, path, value):
    """Whatever is written where, the answer is settings or a list of problems."""
    right = dict(Document.read(HERE / "right" / "whole.toml").data)
    data = mutated(right, path, value)
    data = data if isinstance(data, dict) else right
    document = Document(path=HERE / "x.toml", source=b"", data=data)
    for read in (enabled_plugins, lambda it: load(it, kinds)):
        assert_told(read, document)


@settings(max_examples=200, deadline=None)
@given(source=st.binary() | st.text().map(str.encode), at=st.integers(0, 400))
def test_no_bytes_raise_anything_but_config_errors(kinds, source, at):
    """A file may hold anything, also in the middle of what is right."""
    right = SMALL.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.toml"
        path.write_bytes(right[:at] + source + right[at:])
        assert_told(lambda it: load(Document.read(it), kinds), path)
