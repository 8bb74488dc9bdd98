"""The documentation is true: its blocks run, its generated pages are up to date."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

from gateway import hookspecs
from gateway.cli.main import app
from gateway.config import Document, enabled_plugins, load
from gateway.host import PluginHost
from gateway.setup import kinds_of

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")]
)
PLACES = ROOT / "plugins" / "routing" / "tests" / "data"
TRUST_LIST = ROOT / "plugins" / "email" / "tests" / "fixtures" / "pec" / "trust.pem"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list:
    """Return every block of a language, named by its page."""
    return [
        pytest.param(text, page, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (name, text) in enumerate(BLOCK.findall(page.read_text()))
        if name == language
    ]


@pytest.mark.parametrize(("text", "page"), blocks("toml"))
def test_configuration_blocks_are_right(text: str, page: Path, tmp_path, monkeypatch):
    """Whoever copies a configuration from the docs has one without problems."""
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "whsec_c2l4dGVlbiBjaGFyYWN0ZXJzIGFuZCBtb3Jl")
    for name in re.findall(r'trust = "([^"]+)"', text):
        shutil.copy(TRUST_LIST, tmp_path / name)
    for name in re.findall(r'^(?:streets|districts) = "([^"]+)"', text, re.MULTILINE):
        shutil.copy(PLACES / name, tmp_path)
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    document = Document.read(path)
    host = PluginHost()
    host.load(enabled_plugins(document), tmp_path)

    load(document, kinds_of(host))


@pytest.mark.parametrize(("text", "page"), blocks("python"))
def test_python_blocks_run(text: str, page: Path, tmp_path: Path):
    """Code in the docs can be imported as it stands."""
    file = tmp_path / "block.py"
    file.write_text(text if _compiles(text) else _wrapped(text))
    spec = importlib.util.spec_from_file_location("block", file)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _compiles(text: str) -> bool:
    try:
        compile(text, "block", "exec")
    except SyntaxError:
        return False
    return True


def _wrapped(text: str) -> str:
    """Put a block that awaits at top level into a function."""
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    return f"async def block():\n{indented}"


COMMANDS = [
    shlex.split(line)[1:]
    for page in PAGES
    for line in re.findall(r"`(gateway [a-z][^`]*)`", page.read_text())
    + [
        each
        for name, text in BLOCK.findall(page.read_text())
        if name == "sh"
        for each in text.splitlines()
        if each.startswith("gateway ")
    ]
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_in_the_docs_exist(command: list[str]):
    """Every command the docs name has a help page, and the options they give it."""
    words = [w for w in command if w.islower() and w.replace("-", "").isalpha()]
    options = [w for w in command if w.startswith("--")]
    path = [w for w in words if not w.startswith("--")][:2]

    shown = CliRunner().invoke(app, [*path, "--help"], terminal_width=200)
    if shown.exit_code != 0:
        shown = CliRunner().invoke(app, [path[0], "--help"], terminal_width=200)

    assert 0 == shown.exit_code
    assert [] == [option for option in options if option not in shown.output]


def test_hooks_page_is_up_to_date():
    """docs/hooks.md is what the specifications say."""
    file = ROOT / "scripts" / "make_hooks_page.py"
    spec = importlib.util.spec_from_file_location("make_hooks_page", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.page() == (ROOT / "docs" / "hooks.md").read_text()


def test_each_hook_has_a_test():
    """No hook without a test that is named for it."""
    tests = "".join(p.read_text() for p in ROOT.glob("tests/host/**/test_*.py"))
    hooks = [name for name, f in vars(hookspecs).items() if hasattr(f, "gateway_spec")]

    assert hooks
    assert [] == [name for name in hooks if f"test_hook_{name}" not in tests]


def test_table_of_connectors_says_what_the_code_does():
    """Each connector of this repository is in it, as keyed, queryable or blind."""
    host = PluginHost()
    host.load(["delivery", "email"], ROOT)
    ours = {
        name: get_type_hints(kind.factory)["return"].semantics.value
        for name, kind in host.connector_types().items()
    }
    page = (ROOT / "docs" / "municipalities.md").read_text()

    assert ours == dict(re.findall(r"^  \| `(\w+)` \| (\w+) \|", page, re.MULTILINE))


def test_links_lead_somewhere():
    """A relative link in the docs names a file that is there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert [] == broken
