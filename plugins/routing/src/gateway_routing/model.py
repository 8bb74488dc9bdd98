"""The model: which services a text speaks for, by the pieces of its words.

A linear model on TF-IDF weights (sublinear, unit length), its scores made probabilities
by one temperature. Its file is numbers and names only: reading it runs nothing.
Imported only where a model is configured: it needs numpy.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import PluginError
from gateway.model import Clue, ServiceId
from gateway_routing.grams import LONGEST, pieces_of
from gateway_routing.words import Word, located_words

FORMAT = 1
"""Changes whenever an older file would be read wrongly."""

_ARRAYS = {
    "hashes": "uint32",
    "idf": "float32",
    "weights": "float16",
    "bias": "float32",
}
_TEACH = "`gateway routing train` makes one"

_UNREADABLE = (
    OSError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)

CLUES = 5
"""So many words are named as what weighed most."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where a model comes from.

    ``trained_at`` is UTC, ISO 8601; ``examples`` how many cases of each service;
    ``temperature`` divides the scores; ``figures`` what cross-validation found.
    """

    trained_at: str
    examples: Mapping[str, int]
    temperature: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Services with their probabilities, the likeliest first, and what weighed most."""

    ranked: Sequence[tuple[ServiceId, float]]
    clues: Sequence[Clue]


@dataclass(frozen=True, slots=True)
class Features:
    """The known pieces of a text: rows of the model, values, numbers of their words."""

    rows: NDArray[np.int64]
    values: Floats
    owners: NDArray[np.int64]


class Vocabulary:
    """The pieces that a model knows, by their hashes in ascending order."""

    def __init__(
        self, hashes: NDArray[np.uint32], idf: Floats, usual: float = 0.0
    ) -> None:
        """Know ``hashes``; ``idf`` says how rare each is.

        A text whose pieces weigh less than ``usual`` counts for as much less: a mere
        *buongiorno* shall not speak as loudly as a report.
        """
        self.hashes = hashes
        self.idf = idf
        self.usual = usual

    def features(self, words: list[Word]) -> Features:
        """Return what is known of ``words``; each piece once for each of its words."""
        pieces, owners = pieces_of(words)
        wanted = np.asarray(pieces, dtype=np.uint32)
        places = np.searchsorted(self.hashes, wanted)
        places[places == len(self.hashes)] = 0
        known = self.hashes[places] == wanted if len(self.hashes) else places > 0
        rows = places[known]
        distinct, inverse, counts = np.unique(
            rows, return_inverse=True, return_counts=True
        )
        weights = (1 + np.log(counts)) * self.idf[distinct]
        length = max(float(np.linalg.norm(weights)), self.usual) or 1.0
        # A piece that stands in two words speaks half for each of them.
        values = (weights / length / counts)[inverse]
        return Features(
            rows, values.astype(np.float32), np.asarray(owners, dtype=np.int64)[known]
        )

    def weight(self, words: list[Word]) -> float:
        """Return how much the known pieces of a text weigh before they are scaled."""
        pieces = np.unique(np.asarray(pieces_of(words)[0], dtype=np.uint32))
        return float(np.linalg.norm(self.idf[np.isin(self.hashes, pieces)]))


class Model:
    """A trained model, ready to be asked."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        weights: Floats,
        bias: Floats,
        services: Sequence[str],
        about: About,
    ) -> None:
        """Score ``services`` by ``weights`` (pieces by services) and ``bias``."""
        self.vocabulary = vocabulary
        self.weights = weights
        self.bias = bias
        self.services = [ServiceId(each) for each in services]
        self.about = about

    def predict(
        self, text: str, among: Collection[str] | None = None
    ) -> Prediction | None:
        """Return the services of ``among`` (None: all) that ``text`` speaks for.

        None if the model knows nothing of the text, or none of these services.
        """
        words = located_words(text[:LONGEST])
        found = self.vocabulary.features(words)
        allowed = [
            number
            for number, service in enumerate(self.services)
            if among is None or service in among
        ]
        if not len(found.rows) or not allowed:
            return None
        shares = found.values[:, None] * self.weights[found.rows]
        scores = (shares.sum(axis=0) + self.bias)[allowed]
        chances = probabilities(scores[None], self.about.temperature)[0]
        order = np.argsort(-chances, kind="stable")
        ranked = [(self.services[allowed[n]], float(chances[n])) for n in order]
        winner = allowed[int(order[0])]
        return Prediction(ranked, _clues(words, found.owners, shares, winner))

    def save(self, path: Path) -> None:
        """Write the model to ``path``, whole or not at all."""
        arrays = {
            "hashes": self.vocabulary.hashes,
            "idf": self.vocabulary.idf,
            "weights": self.weights,
            "bias": self.bias,
        }
        typed = {name: arrays[name].astype(kind) for name, kind in _ARRAYS.items()}
        about = {
            "format": FORMAT,
            "services": list(self.services),
            "trained_at": self.about.trained_at,
            "examples": dict(self.about.examples),
            "temperature": self.about.temperature,
            "usual": self.vocabulary.usual,
            "figures": dict(self.about.figures),
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        with NamedTemporaryFile(dir=path.parent, delete=False) as file:
            np.savez_compressed(file, allow_pickle=False, about=text, **typed)
        Path(file.name).replace(path)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model.

        Raises:
            PluginError: it is not there, or is none of this version.

        """
        try:
            # Given a path, numpy leaves broken files open.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                about = json.loads(bytes(file["about"]))
                arrays = {name: file[name] for name in _ARRAYS}
            return _checked(cls, about, arrays)
        except FileNotFoundError:
            raise PluginError(f"model {path} is not there: {_TEACH}") from None
        except _UNREADABLE as error:
            text = f"model {path} can't be read ({error}): {_TEACH}"
            raise PluginError(text) from None


def probabilities(scores: Floats, temperature: float) -> Floats:
    """Return the probabilities that rows of ``scores`` stand for (softmax)."""
    scaled = scores / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: Floats = raised / raised.sum(axis=1, keepdims=True)
    return result


def _checked(
    kind: type[Model], about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Model:
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}, wanted {FORMAT}")
    for name, dtype in _ARRAYS.items():
        if arrays[name].dtype != dtype:
            raise ValueError(f"{name}: {arrays[name].dtype}, wanted {dtype}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name}: not all finite")
    services, hashes = about["services"], arrays["hashes"]
    shape = (len(hashes), len(services))
    fits = (arrays["weights"].shape, arrays["bias"].shape) == (shape, shape[1:])
    if not (fits and arrays["idf"].shape == hashes.shape and len(services)):
        raise ValueError("its parts do not fit together")
    if not (np.diff(hashes.astype(np.int64)) > 0).all():
        raise ValueError("hashes: not in order")
    temperature = float(about["temperature"])
    usual = float(about["usual"])
    if not (0 < temperature < float("inf") and 0 <= usual < float("inf")):
        raise ValueError("temperature or usual: out of range")
    return kind(
        Vocabulary(hashes, arrays["idf"], usual),
        arrays["weights"].astype(np.float32),
        arrays["bias"],
        [str(service) for service in services],
        About(
            trained_at=str(about["trained_at"]),
            examples={str(k): int(v) for k, v in about["examples"].items()},
            temperature=temperature,
            figures={str(k): float(v) for k, v in about["figures"].items()},
        ),
    )


def _clues(
    words: Sequence[Word], owners: NDArray[np.int64], shares: Floats, winner: int
) -> list[Clue]:
    """Return the words whose pieces speak most for the winner, against all others."""
    advantage = shares[:, winner] - shares.mean(axis=1)
    weights = np.bincount(owners, weights=advantage, minlength=len(words))
    best = [int(n) for n in np.argsort(-weights, kind="stable")[:CLUES]]
    return [
        Clue(start=words[n].start, end=words[n].end, weight=round(float(weights[n]), 3))
        for n in sorted(best)
        if weights[n] > 0
    ]
