"""Regular expressions of many rules, tried at once in time linear to the text.

RE2 knows no backtracking: no expression of a city's can be made slow by a text. What
would need it (back-references, look-around) is refused when the configuration is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2  # type: ignore[import-untyped]

from gateway.errors import PluginError
from gateway.model import Clue

# Room for the automaton of some thousand expressions; it grows only as texts need it.
_MEMORY = 64 << 20
# Of one expression by itself: a hundred times what any rule needs.
_MEMORY_OF_ONE = 1 << 20

# Matches every text: if even this one isn't found, the automaton had no room.
_CANARY = r"\A"


def check(pattern: str) -> str:
    """Return ``pattern`` if it is a regular expression in RE2's syntax.

    Raises:
        ValueError: it is none, or it also matches the empty text.

    """
    try:
        compiled = re2.compile(pattern, _options(_MEMORY_OF_ONE))
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode() if isinstance(reason, bytes) else str(reason)
        text = f"a regular expression in RE2's syntax ({said})"
        raise ValueError(text) from None
    if compiled.search("") is not None:
        raise ValueError("a regular expression that does not match every text")
    return pattern


class Patterns:
    """The different expressions of all rules."""

    def __init__(self, patterns: Iterable[str], memory: int = _MEMORY) -> None:
        """Compile ``patterns``, each once; the automaton gets ``memory`` bytes.

        Raises:
            PluginError: they are too many, or too large together.

        """
        self._all = list(dict.fromkeys(patterns))
        options = _options(memory)
        self._compiled = {each: re2.compile(each, options) for each in self._all}
        self._set = re2.Set.SearchSet(options)
        for pattern in (*self._all, _CANARY):
            self._set.Add(pattern)
        try:
            self._set.Compile()
        except re2.error:
            text = (
                f"the {len(self._all)} patterns of the rules are too large together:"
                " make counted repetitions like {0,50} smaller"
            )
            raise PluginError(text) from None

    def found(self, text: str) -> list[str]:
        """Return the expressions that match somewhere in ``text``."""
        if not self._all:
            return []
        numbers = self._set.Match(text)
        if not numbers:
            # Never seen in practice; one by one is slow, and finds them.
            return [p for p in self._all if self._compiled[p].search(text)]
        canary = len(self._all)
        return [self._all[number] for number in sorted(numbers) if number != canary]

    def clues(self, patterns: Sequence[str], text: str) -> list[Clue]:
        """Return where each of ``patterns`` matches first."""
        matches = [self._compiled[each].search(text) for each in patterns]
        return [Clue(start=m.start(), end=m.end()) for m in matches if m]


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = memory
    return options
