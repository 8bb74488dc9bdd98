"""What import-linter can't see: the plugins' imports, their folders, and file names."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
SOURCES = ("benchmarks", "examples", "gateway", "plugins", "scripts", "tests")
PUBLIC = frozenset(
    {
        "gateway.breaker",
        "gateway.channel",
        "gateway.clock",
        "gateway.commands",
        "gateway.config",
        "gateway.connections",
        "gateway.connector",
        "gateway.errors",
        "gateway.failpoints",
        "gateway.model",
        "gateway.payload",
        "gateway.plugin",
        "gateway.testing",
    }
)

each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)


def _imports(file: Path) -> Iterator[str]:
    """Yield the modules a file imports, wherever in it; ours two names deep."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gateway":
            names = [f"gateway.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        yield from (".".join(name.split(".")[:2]) for name in names)


def _of_core(name: str) -> bool:
    return name.partition(".")[0] == "gateway"


def _of_a_plugin(name: str) -> bool:
    return name.startswith("gateway_")


def _python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_imports_are_found_wherever_they_stand(tmp_path: Path):
    """The reader of imports misses none: nested, of the package itself, deep."""
    file = tmp_path / "sample.py"
    file.write_text(
        "import gateway.store.units\n"
        "from gateway import inbox, model\n"
        "from . import own\n"
        "def late():\n"
        "    from gateway_email.imap import Mailbox\n"
    )

    found = set(_imports(file))

    assert {
        "gateway.store",
        "gateway.inbox",
        "gateway.model",
        "gateway_email.imap",
    } == found


def test_core_imports_no_plugin():
    """The core works without any plugin of this repository."""
    found = {
        (file.name, name)
        for file in _python(ROOT / "gateway")
        for name in _imports(file)
        if _of_a_plugin(name)
    }

    assert set() == found


@each_plugin
def test_plugin_imports_only_public_modules(folder: Path):
    """A plugin sees what its authors were promised, and no more of the core."""
    found = {
        (file.name, name)
        for file in _python(folder / "src")
        for name in _imports(file)
        if _of_core(name) and name not in PUBLIC
    }

    assert set() == found


@each_plugin
def test_plugin_imports_no_other_plugin(folder: Path):
    """Each plugin can be installed without the others."""
    own = f"gateway_{folder.name}"
    found = {
        (file.name, name)
        for file in _python(folder / "src")
        for name in _imports(file)
        if _of_a_plugin(name) and name.split(".")[0] != own
    }

    assert set() == found


def test_plugin_folders_are_no_packages():
    """An ``__init__.py`` there would make ``plugins/email`` hide Python's ``email``."""
    found = [*ROOT.glob("plugins/__init__.py"), *ROOT.glob("plugins/*/__init__.py")]

    assert [] == found


def test_test_folders_are_no_packages():
    """With importlib mode test files may share a name, if no package holds them."""
    places = ("tests", *(f"plugins/{folder.name}/tests" for folder in PLUGINS))
    found = [file for place in places for file in (ROOT / place).rglob("__init__.py")]

    assert [] == found


def test_no_module_shadows_the_standard_library():
    """A file ``http.py`` beside a script breaks whatever imports ``http``."""
    files = [*ROOT.glob("*.py"), *(f for top in SOURCES for f in _python(ROOT / top))]

    assert files
    assert [] == [file for file in files if file.stem in sys.stdlib_module_names]


@each_plugin
@pytest.mark.parametrize("name", ["README.md", "quality.toml", "pyproject.toml"])
def test_plugin_folder_is_complete(folder: Path, name: str):
    """A plugin comes with its manual, its packaging and its account of the rules."""
    assert (folder / name).is_file(), f"write {folder.relative_to(ROOT)}/{name}"


@each_plugin
def test_plugin_is_named_and_licensed_as_the_others(folder: Path):
    """Names follow the folder; EUPL, but where a dependency asks for the GPL."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["gateway.plugins"].items()
    licence = "GPL-3.0-or-later" if folder.name == "email" else "EUPL-1.2"

    assert f"municipal-gateway-{folder.name}" == project["name"]
    assert (folder.name, f"gateway_{folder.name}") == (entry[0], entry[1].split(":")[0])
    assert licence == project["license"].split(" AND ")[0]


@each_plugin
def test_licence_comes_along(folder: Path):
    """The text of the licence is packed, and where the data of others come from."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    first, *others = project["license"].split(" AND ")
    title = {"EUPL-1.2": "EUROPEAN UNION", "GPL-3.0-or-later": "GNU GENERAL"}[first]
    origins = [
        str(file.relative_to(folder))
        for name in ("ATTRIBUTION.md", "ORIGIN.md")
        for file in folder.glob(f"src/gateway_*/**/{name}")
    ]

    assert ["LICENSE", *origins] == project["license-files"]
    assert (folder / "LICENSE").read_text().strip().startswith(title)
    assert bool(others) == bool(origins)


@each_plugin
def test_readme_names_the_licences(folder: Path):
    """Who reads the manual knows under which licences the plugin comes."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    readme = (folder / "README.md").read_text()

    # Prose writes "CC BY 4.0" for CC-BY-4.0.
    plain = readme + readme.replace("CC BY ", "CC-BY-")
    assert [] == [x for x in project["license"].split(" AND ") if x not in plain]


def _complaints(folder: Path, rules: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield what is wrong with a plugin's account of the rules; believe nothing."""
    for rule, account in rules.items():
        status = account.get("status")
        if status not in {"done", "todo", "exempt"}:
            yield f"{rule}: status is {status!r}; allowed: done, todo, exempt"
        elif status == "done":
            yield from _missing_places(folder, rule, account.get("where", ""))
        elif not account.get("reason"):
            yield f"{rule}: {status} needs a reason"


def _missing_places(folder: Path, rule: str, where: str) -> Iterator[str]:
    """Yield the files named as proof (``a.py, tests/b.py: comment``) that are not."""
    package = folder / "src" / f"gateway_{folder.name}"
    for place in where.partition(":")[0].split(","):
        name = place.strip()
        if not name or not ((folder / name).exists() or (package / name).exists()):
            yield f"{rule}: done, where? no {name or 'file named'}"


@pytest.mark.parametrize(
    "folder",
    [folder for folder in PLUGINS if (folder / "quality.toml").exists()],
    ids=lambda path: path.name,
)
def test_account_of_the_rules_is_true(folder: Path):
    """What ``quality.toml`` calls done has its proof, all else its reason."""
    rules = tomllib.loads((folder / "quality.toml").read_text())["rules"]

    assert rules
    assert [] == list(_complaints(folder, rules))


@pytest.mark.parametrize(
    "account",
    [
        {"status": "planned"},
        {"status": "todo"},
        {"status": "exempt", "reason": ""},
        {"status": "done"},
        {"status": "done", "where": "tests/test_nowhere.py"},
    ],
    ids=str,
)
def test_untrue_account_is_found(account: dict[str, str]):
    """A claim without proof or reason doesn't pass."""
    assert list(_complaints(PLUGINS[0], {"rule": account}))
