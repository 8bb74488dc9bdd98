"""The lines of keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import Document
from gateway.config.document import dotted
from gateway.errors import ConfigError

HERE = Path(__file__).parent
LINES = HERE / "lines.toml"


def marked() -> list[tuple[str, int]]:
    """Return the keys that comments of the file name, with their lines."""
    lines = enumerate(LINES.read_text().splitlines(), start=1)
    return [
        (key.strip(), number)
        for number, line in lines
        for key in line.partition("#!")[2].split("&")
        if key.strip()
    ]


def paths(value, path=()):
    """Yield the paths of all values."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from paths(each, (*path, key))
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from paths(each, (*path, index))


@pytest.mark.parametrize(("key", "line"), marked())
def test_line_of_a_key(key: str, line: int):
    """However a key is written, its line is found."""
    document = Document.read(LINES)

    found = [
        document.line(path) for path in paths(document.data) if dotted(path) == key
    ]

    assert [line] == found


def test_every_key_has_a_line():
    """Nothing in the file is beyond the reach of a problem."""
    document = Document.read(LINES)

    assert [] == [dotted(p) for p in paths(document.data) if document.line(p) is None]


def test_missing_key_is_placed_where_it_belongs():
    """What is not there has the line of the table that should hold it."""
    document = Document.read(LINES)

    table = dict(marked())["tables.first"]
    assert document.line(("tables", "first", "missing", "deeper")) == table
    assert document.line(("nowhere",)) is None


@pytest.mark.parametrize(
    ("source", "line", "found"),
    [
        (b"a = 1\nb = ", 2, "invalid value"),
        (b"a = 1\n\nb = 1 2\n", 3, "expected newline or end of document"),
        (b"a = 1\nb = '\xe0'\n", 2, "bytes that are no UTF-8"),
        (b"a = " + b"9" * 5000, None, "a number that is too long"),
        (b"a = " + b"[" * 5000, None, "values nested too deep"),
        (b".".join([b"a"] * 5000) + b" = 1", None, "values nested too deep"),
    ],
    ids=["end", "middle", "utf8", "number", "depth", "dots"],
)
def test_what_is_no_toml_is_one_problem(source, line, found):
    """Broken syntax is told with its line, where there is one."""
    with pytest.raises(ConfigError) as caught:
        Document.parse(Path("x.toml"), source)

    (problem,) = caught.value.problems
    assert line == problem.line
    assert problem.found.startswith(found)


def test_problem_is_one_printable_line():
    """Control characters in keys and values show as what they are."""
    document = Document.parse(Path("x.toml"), b'"a\\nb\\u001b" = 1')

    problem = document.problem(("a\nb\x1b",), "text\n\x1b[2J", "a\x9bb")

    assert str(problem).isprintable()
    assert problem.line == 1


def test_right_configuration_does_not_load_the_parser():
    """Start-up pays for the parser of lines only if something is wrong."""
    code = (
        "import sys; from pathlib import Path;"
        "from gateway.config import *;"
        f"document = Document.read(Path({str(HERE / 'right' / 'small.toml')!r}));"
        "enabled_plugins(document);"
        "sys.exit('tree_sitter' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)

    assert done.returncode == 0
