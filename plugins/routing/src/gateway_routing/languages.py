"""The language of a text; loaded only where a rule names one (it is large)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import PluginError

_LETTERS = 20
"""Shorter texts could be anything."""

_SURE = 0.9

# Of citizens of an Italian city; among all 97, short texts get odd answers.
_LIKELY = (
    *("ar", "bn", "bg", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "hi"),
    *("hr", "hu", "it", "ja", "ko", "lt", "lv", "mk", "mt", "nl", "no", "pa", "pl"),
    *("pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "ta", "tr", "uk", "ur", "vi"),
    "zh",
)


class Languages:
    """Guesses languages."""

    def __init__(self, wanted: Iterable[str]) -> None:
        """Load the guesser, to tell ``wanted`` languages from the likely ones.

        Raises:
            PluginError: it is not installed, or knows none of that code.

        """
        try:
            from py3langid.langid import (  # type: ignore[import-untyped] # noqa: PLC0415
                MODEL_FILE,
                LanguageIdentifier,
            )
        except ImportError:
            raise PluginError(
                "a rule names a language, but what tells languages is not installed:"
                " pip install 'municipal-gateway-routing[languages]'"
            ) from None
        self._identifier = LanguageIdentifier.from_model_file(
            MODEL_FILE, norm_probs=True
        )
        unknown = sorted({*wanted} - {*self._identifier.labels})
        if unknown:
            known = ", ".join(sorted(self._identifier.labels))
            text = f"rules name languages {', '.join(unknown)}; known are: {known}"
            raise PluginError(text)
        self._identifier.set_languages(sorted({*_LIKELY, *wanted}))

    def guess(self, text: str) -> str:
        """Return the language of ``text`` (ISO 639-1), "" if it is not clear."""
        if sum(letter.isalpha() for letter in text) < _LETTERS:
            return ""
        language, probability = self._identifier.classify(text)
        return str(language) if probability >= _SURE else ""
