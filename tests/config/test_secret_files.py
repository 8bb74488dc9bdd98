"""Secrets in files are those that the files hold now."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway import log
from gateway.config import Document, load, secret_files
from gateway.config.secret_files import FileSecret

OLD, NEW = "the-old-word " * 4, "the-new-word " * 4
FILE = """
[gateway]
name = "Comune"
plugins = ["post"]
default_service = "urp"

[channels.hook]
type = "hook"
tokens = [{ file = "word" }, { env = "TEST_PASSWORD" }]
key = { file = "word" }
rules = [{ word = "buca", token = { file = "word" } }]
by_name = { a = { file = "word" } }

[services.urp]
name = "URP"
connectors = [{ type = "post", to = ["urp@comune.it"] }]
"""


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """A private file with a secret."""
    path = tmp_path / "word"
    path.touch(mode=0o600)
    path.write_text(f"{OLD}\n")
    return path


@pytest.fixture
def replace(word: Path) -> Callable[..., None]:
    """Replace the file at once, as tools that mean well do."""

    def by_renaming(text: str, mode: int = 0o600) -> None:
        other = word.with_name("next")
        other.write_bytes(text.encode("utf-8", "surrogateescape"))
        other.chmod(mode)
        other.replace(word)

    return by_renaming


@pytest.fixture
def hook(word: Path, kinds) -> Any:
    """A section whose secrets stand in the file."""
    path = word.with_name("gateway.toml")
    path.write_text(FILE)
    return load(Document.read(path), kinds).channels["hook"].config


def value(secret: SecretStr) -> str:
    """Return a secret as its user gets it."""
    return secret.get_secret_value()


def test_every_place_follows_the_file(hook, replace):
    """Fields, lists, tables and sections in sections have the new value at once."""
    places = [hook.tokens[0], hook.key, hook.rules[0].token, hook.by_name["a"]]
    before = [value(each) for each in places]
    replace(NEW)

    assert [OLD] * 4 == before
    assert [NEW] * 4 == [value(each) for each in places]


def test_secret_of_the_environment_stays(hook, replace, secret):
    """Only what stands in a file follows it."""
    replace(NEW)

    assert secret == value(hook.tokens[1])
    assert type(hook.tokens[1]) is SecretStr


def test_file_may_be_written_in_place(hook, word):
    """Who edits the file with an editor needs no other one."""
    first = value(hook.key)
    word.write_text(NEW + "and more")

    assert (OLD, NEW + "and more") == (first, value(hook.key))


def test_folder_behind_a_link_may_be_swapped(tmp_path: Path):
    """Kubernetes swaps the link ``..data``; the file's own path stays."""
    for name, text in (("first", OLD), ("second", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "word").touch(mode=0o600)
        (tmp_path / name / "word").write_text(text)
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "word").symlink_to("..data/word")
    followed = FileSecret(OLD, tmp_path / "word", lambda _: None)
    first = value(followed)

    (tmp_path / "swap").symlink_to("second")
    (tmp_path / "swap").replace(tmp_path / "..data")

    assert (OLD, NEW) == (first, value(followed))


def test_file_is_read_only_when_it_changed(hook, replace, monkeypatch):
    """Each use costs a look at the file, not a reading of it."""
    value(hook.key)
    monkeypatch.setattr(secret_files, "read_secret", lambda _: pytest.fail("read"))

    assert OLD == value(hook.key)


@pytest.mark.parametrize(
    ("text", "mode", "found"),
    [
        ("", 0o600, "a file, which is empty"),
        ("  \n", 0o600, "a file, which is empty"),
        (NEW, 0o644, "a file, which everybody may read"),
        ("\udcff", 0o600, "a file (no UTF-8)"),
        ("too short for a key", 0o600, "a secret that won't do"),
    ],
)
def test_last_good_value_stays(hook, replace, text, mode, found):
    """A file that won't do changes nothing; it is told once, without the secret."""
    value(hook.key)
    replace(text, mode)
    with capture_logs() as lines:
        values = [value(hook.key) for _ in range(3)]

    assert [OLD] * 3 == values
    assert [("secret_unusable", found)] == [(x["event"], x["found"]) for x in lines]
    assert "too short" not in str(lines)


def test_file_may_go_and_come_back(hook, replace, word):
    """Gone, the last value stays; back, the new one is taken, and that is told."""
    value(hook.key)
    word.unlink()
    with capture_logs() as lines:
        gone = [value(hook.key) for _ in range(2)]
        replace(NEW)
        back = [value(hook.key) for _ in range(2)]

    assert ([OLD] * 2, [NEW] * 2) == (gone, back)
    assert ["secret_unusable", "secret_reloaded"] == [x["event"] for x in lines]


def test_mending_the_mode_is_enough(hook, replace, word):
    """A file that everybody could read is taken as soon as they no longer can."""
    replace(NEW, 0o644)
    before = value(hook.key)
    word.chmod(0o600)

    assert (OLD, NEW) == (before, value(hook.key))


def test_no_permission_keeps_the_last_value(hook, replace, monkeypatch):
    """A file that may no longer be read is as good as gone."""
    value(hook.key)

    def refuse(path: os.PathLike) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(secret_files.os, "stat", refuse)
    monkeypatch.setattr(Path, "stat", refuse)

    assert OLD == value(hook.key)


def test_no_value_ever_prints(hook, replace):
    """Neither the old value nor the new one shows in texts, dumps and logs."""
    value(hook.key)
    replace(NEW)
    value(hook.key)
    with capture_logs() as lines:
        replace(NEW + "\n\n")
        value(hook.tokens[0])
    shown = log.redact(None, "info", {"secret": hook.key, "section": hook})
    told = f"{hook!r} {hook.key} {hook.model_dump_json()} {lines} {shown}"

    assert ["secret_reloaded"] == [line["event"] for line in lines]
    assert not any(word in told for word in ("the-old-word", "the-new-word"))
    assert "**********" == json.loads(hook.model_dump_json())["key"]


def test_equal_to_itself_and_as_long(hook, replace):
    """A section with such a secret has not changed, whatever the file holds."""
    copy = hook.model_copy(deep=True)
    replace(NEW)

    assert copy == hook
    assert len(NEW) == len(hook.key)
