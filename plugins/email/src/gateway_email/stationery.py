"""The city's template for mail: Jinja2 in its sandbox, tried before it is used.

A folder of the city's own may replace any of our files, for all languages or for one
(``it/office.html``). What stands in it can only be wrong at start-up: should it fail
on a real letter all the same, ours is used and the log says so.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from gateway_email.letters import Letter, OfficeLetter, samples
from gateway_email.texts import Texts

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

FOLDER = Path(__file__).parent / "templates"
LANGUAGES = ("it", "en")
NAMES = frozenset(file.name for file in FOLDER.iterdir())
"""The files that a city may replace; includes of its own begin with ``_``."""

_PLACES = {(), *((language,) for language in LANGUAGES)}
OFFICE, CITIZEN = "office", "citizen"
_OF_ALL = frozenset({"_", "gettext", "ngettext"})
_SEEN = {
    OFFICE: frozenset(field.name for field in fields(OfficeLetter)),
    CITIZEN: frozenset(field.name for field in fields(Letter)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Both forms of what a mail says."""

    text: str
    html: str


class Stationery:
    """The templates in one language."""

    def __init__(
        self, folder: Path | None, language: str, log: FilteringBoundLogger
    ) -> None:
        """Read templates from ``folder`` first, then our own."""
        self.words = Texts(language)
        self._log = log
        self._ours = _environment(None, self.words)
        self._theirs = _environment(folder, self.words) if folder else self._ours

    def office(self, letter: OfficeLetter) -> Body:
        """Return what an office reads."""
        return self._body(OFFICE, letter)

    def citizen(self, letter: Letter) -> Body:
        """Return what a citizen reads."""
        return self._body(CITIZEN, letter)

    def _body(self, kind: str, letter: Letter) -> Body:
        try:
            return _filled(self._theirs, kind, letter)
        except Exception as error:  # noqa: BLE001 (whatever a template does, mail goes)
            name = type(error).__name__
            self._log.error("template_failed", template=kind, error=name)
        return _filled(self._ours, kind, letter)


def problems(folder: Path) -> list[str]:
    """Say what is wrong with a city's templates: file, line, what is allowed."""
    return list(dict.fromkeys([*_strangers(folder), *_faults(folder)]))


def _strangers(folder: Path) -> Iterator[str]:
    """Name files that would never be used."""
    known = sorted(NAMES)
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if file.is_dir() or file.name.startswith((".", "_")):
            continue
        if file.name not in NAMES or place.parts[:-1] not in _PLACES:
            yield f"{place} replaces nothing (known: {', '.join(known)})"


def _faults(folder: Path) -> Iterator[str]:
    """Name what can't be filled in, in any language."""
    for language in LANGUAGES:
        environment = _environment(folder, Texts(language))
        offices, citizens = samples(language)
        for kind, letters in ((OFFICE, offices), (CITIZEN, citizens)):
            for name in (f"{kind}.txt", f"{kind}.html"):
                yield from _tried(environment, folder, name, letters, _SEEN[kind])


def _environment(folder: Path | None, words: Texts) -> jinja2.Environment:
    own = [folder / words.language, folder] if folder else []
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader([*own, FOLDER]),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_gettext_translations(words.catalog, newstyle=True)  # type: ignore[attr-defined] # of the extension
    environment.filters["lines"] = _lines
    return environment


def _lines(text: str) -> Markup:
    """Return a text as HTML that keeps its lines, also in Outlook."""
    return Markup("<br>\n").join(escape(line) for line in text.split("\n"))


def _values(letter: Letter) -> dict[str, object]:
    return {field.name: getattr(letter, field.name) for field in fields(letter)}


def _filled(environment: jinja2.Environment, kind: str, letter: Letter) -> Body:
    text, html = (
        environment.get_template(f"{kind}.{form}").render(_values(letter))
        for form in ("txt", "html")
    )
    return Body(text=text, html=html)


def _tried(
    environment: jinja2.Environment,
    folder: Path,
    name: str,
    letters: Sequence[Letter],
    known: frozenset[str],
) -> Iterator[str]:
    """Say what is wrong with a template and with what it includes."""
    try:
        if unknown := list(_unknown(environment, folder, name, known)):
            yield from unknown
            return
        template = environment.get_template(name)
        for letter in letters:
            template.render(_values(letter))
    except jinja2.TemplateSyntaxError as error:
        yield f"{_place(folder, error.filename, error.lineno)}: {error.message}"
    except Exception as error:  # noqa: BLE001 (a template may do anything)
        yield f"{_raised(folder, name, error)}: {error}"


def _unknown(
    environment: jinja2.Environment, folder: Path, name: str, known: frozenset[str]
) -> Iterator[str]:
    """Name variables that don't exist, also where no sample leads."""
    loader = environment.loader
    assert loader is not None  # noqa: S101 (we made it)
    source, file, _ = loader.get_source(environment, name)
    tree = environment.parse(source, name, file)
    unknown = meta.find_undeclared_variables(tree) - known - _OF_ALL
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            there = ", ".join(sorted(known))
            place = _place(folder, file, node.lineno)
            yield f"{place}: there is no {node.name} (known: {there})"


def _raised(folder: Path, name: str, error: Exception) -> str:
    """Return the place in a template where an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if Path(each.filename).is_relative_to(folder)]
    return _place(folder, ours[-1].filename, ours[-1].lineno) if ours else name


def _place(folder: Path, file: str | None, line: int | None) -> str:
    path = Path(file or "")
    return f"{path.relative_to(folder) if path.is_relative_to(folder) else path}:{line}"
