"""A city's own words for what citizens read: Jinja2 templates instead of our texts.

``<folder>/it/new_case.txt`` replaces the Italian text `gateway.texts.NEW_CASE`,
``<folder>/new_case.txt`` that of every language. A template knows the values of the
text that it replaces. It is sandboxed: a mistake in it costs the city its wording, and
no citizen their notice. A language that is not shipped has all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Final

import jinja2
import structlog
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway import texts

log = structlog.get_logger()

NAMES: Final[Mapping[str, str]] = {
    name.lower(): getattr(texts, name)
    for name in (
        *("NEW_CASE", "ASKED", "SETTLED", "HELD", "REJECTED", "ANSWER", "CLOSED"),
        *("HANDED_ON", "REOPENED", "OPEN_AGAIN", "MERGED", "SPLIT"),
        *("ANEW", "ANEW_TITLE", "STATUS", "STATUS_ENDED", "STATUS_NONE"),
        *("STATUS_UNKNOWN", "STATUS_NEW", "STATUS_WAITING", "STATUS_ASSIGNED"),
        *("STATUS_ANSWERED", "STATUS_CLOSED", "STATUS_REOPENED"),
        *("RATE", "RATE_BY_NUMBER", "RATING_LABEL", "RATING_BEST", "RATING_WORST"),
        *("RATED", "RATED_REMARK", "OPENS_TODAY", "OPENS_TOMORROW", "OPENS_ON"),
        *("NOT_CARRIED", "NOT_CARRIED_LINK"),
        *("AGREED", "NO_ADDRESS", "WITHDRAWN", "OTHER_ADDRESS"),
        *("LINK_OVER", "LINK_UNKNOWN", "LINK_LATER"),
    )
}
"""What can be replaced: the name of the template → our text."""


class Wording:
    """The templates of a folder, in one language; each is read once."""

    def __init__(self, folder: Path, language: str) -> None:
        """Read what is there; `problems` has said that it can be used."""
        environment = _environment([folder / language, folder])
        known = set(environment.list_templates())
        self._templates = {
            msgid: environment.get_template(f"{name}.txt")
            for name, msgid in NAMES.items()
            if f"{name}.txt" in known
        }

    def say(self, msgid: str, values: Mapping[str, object]) -> str | None:
        """Return the city's own words; None if it has none, or they fail."""
        template = self._templates.get(msgid)
        if template is None:
            return None
        try:
            return template.render(values).strip()
        except Exception as error:  # noqa: BLE001 (a template may do anything)
            name, kind = template.name, type(error).__name__
            log.warning("template_failed", template=name, error=kind)
        return None


def problems(folder: Path, language: str) -> list[str]:
    """Say what is wrong with a folder of templates: file, line, what is allowed.

    Also which are missing, if ``language`` has no texts of ours.
    """
    if not folder.is_dir():
        return ["no such folder"]
    found: list[str] = []
    for file in sorted(folder.rglob("*.*")):
        place = file.relative_to(folder)
        if file.suffix != ".txt" or file.stem not in NAMES:
            known = ", ".join(sorted(NAMES))
            found.append(f"{place} replaces nothing; known: {known}")
        else:
            found += _faults(folder, place)
    return found + list(_missing(folder, language))


def _missing(folder: Path, language: str) -> Iterator[str]:
    """Name the texts that a language lacks, for which there is no catalog."""
    if language in texts.LANGUAGES:
        return
    places = (folder / language, folder)
    for name in NAMES:
        if not any((place / f"{name}.txt").is_file() for place in places):
            yield f"{language}/{name}.txt is missing"


def _faults(folder: Path, place: Path) -> Iterator[str]:
    """Name what can't be filled in, also where no sample leads."""
    environment = _environment([folder])
    allowed = _fields(NAMES[place.stem])
    try:
        tree = environment.parse((folder / place).read_text(encoding="utf-8"))
        unknown = meta.find_undeclared_variables(tree) - allowed.keys()
        for node in tree.find_all(nodes.Name):
            if node.name in unknown:
                known = ", ".join(sorted(allowed)) or "none"
                yield f"{place}:{node.lineno}: no value {node.name}; known: {known}"
        if not unknown:
            environment.get_template(place.as_posix()).render(_sample(allowed))
    except jinja2.TemplateSyntaxError as error:
        yield f"{place}:{error.lineno}: {error.message}"
    except Exception as error:  # noqa: BLE001 (a template may do anything)
        yield f"{place}: {type(error).__name__}: {error}"


def _fields(msgid: str) -> dict[str, str]:
    """Return the values of a text, each with how we format it."""
    return {name: form or "" for _, name, form, _ in Formatter().parse(msgid) if name}


def _sample(fields: Mapping[str, str]) -> dict[str, object]:
    """Return values as they may be: what we format as a day is a moment."""
    at = datetime(2026, 3, 29, 22, 4, tzinfo=UTC)
    return {
        name: at if "%" in form else 2 if name == "count" else f"<{name}>"
        for name, form in fields.items()
    }


def _environment(folders: list[Path]) -> jinja2.Environment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        # Text, not HTML: what shows it escapes it.
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
