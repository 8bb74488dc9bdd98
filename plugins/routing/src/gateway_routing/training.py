"""Makes a model from samples. Needs the extra ``training`` (scikit-learn)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import (  # type: ignore[import-untyped]
    StratifiedGroupKFold,
    StratifiedKFold,
)
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gateway.errors import PluginError
from gateway_routing.grams import LONGEST, pieces_of
from gateway_routing.measures import Measured, measure
from gateway_routing.model import About, Floats, Model, Vocabulary, probabilities
from gateway_routing.samples import Sample
from gateway_routing.words import located_words, words_of

FEWEST = 5
"""A service with fewer samples is not learnt."""

FOLDS = 5

PIECES = 60_000
"""So many pieces are kept, those of most samples: a file of about 2 MB."""

_STRENGTH = 10.0
"""Of the fit (scikit-learn's C): the same in moderation's measurements."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, what cross-validation found, and the services with too few samples."""

    model: Model
    measured: Measured
    left_out: Sequence[str]


def train(samples: Sequence[Sample], at: datetime) -> Trained:
    """Return a model of ``samples``; its probabilities are set by cross-validation.

    Raises:
        PluginError: fewer than two services have samples enough.

    """
    samples, left_out = _learnable(samples)
    services = sorted({sample.service for sample in samples})
    labels = np.array([services.index(sample.service) for sample in samples])
    scores = np.empty((len(samples), len(services)), dtype=np.float32)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for learnt, asked in folds.split(np.zeros(len(samples)), labels):
        part = _fitted([samples[n] for n in learnt], labels[learnt])
        scores[asked] = part.scores([samples[n] for n in asked])
    temperature = _temperature(scores, labels)
    chances = probabilities(scores, temperature)
    measured = measure([s.service for s in samples], services, chances)
    whole = _fitted(samples, labels)
    about = About(
        trained_at=at.isoformat(timespec="seconds"),
        examples=dict(Counter(sample.service for sample in samples)),
        temperature=temperature,
        figures=measured.summary(),
    )
    model = Model(whole.vocabulary, whole.weights, whole.bias, services, about)
    return Trained(model, measured, left_out)


@dataclass(frozen=True, slots=True)
class _Fitted:
    vocabulary: Vocabulary
    weights: Floats
    bias: Floats

    def scores(self, samples: Sequence[Sample]) -> Floats:
        result: Floats = _matrix(self.vocabulary, samples) @ self.weights + self.bias
        return result


def _learnable(samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    counts = Counter(sample.service for sample in samples)
    left_out = sorted(service for service, n in counts.items() if n < FEWEST)
    if len(counts) - len(left_out) < 2:  # noqa: PLR2004 (nothing to choose from)
        found = ", ".join(f"{s} {n}" for s, n in counts.most_common()) or "none"
        raise PluginError(
            f"found samples: {found}; wanted {FEWEST} or more of two services at least"
        )
    return [s for s in samples if s.service not in left_out], left_out


def _fitted(samples: Sequence[Sample], labels: NDArray[np.int64]) -> _Fitted:
    vocabulary = _vocabulary(samples)
    fit = LogisticRegression(C=_STRENGTH, solver="newton-cg")
    # More threads only wait for one another: the matrices are small.
    with threadpool_limits(1):
        fit.fit(_matrix(vocabulary, samples), labels)
    weights, bias = fit.coef_.T, fit.intercept_
    if weights.shape[1] == 1:
        # Of two services it scores the second only.
        weights = np.hstack([np.zeros_like(weights), weights])
        bias = np.concatenate([np.zeros_like(bias), bias])
    return _Fitted(vocabulary, weights.astype(np.float32), bias.astype(np.float32))


def _vocabulary(samples: Sequence[Sample]) -> Vocabulary:
    counts: Counter[int] = Counter()
    for sample in samples:
        counts.update(set(pieces_of(located_words(sample.text[:LONGEST]))[0]))
    # Of equals the smaller hash: the same samples give the same file.
    common = sorted(counts, key=lambda piece: (-counts[piece], piece))[:PIECES]
    hashes = np.array(sorted(common), dtype=np.uint32)
    found = np.array([counts[int(each)] for each in hashes], dtype=np.float32)
    idf = np.log((1 + len(samples)) / (1 + found)) + 1
    known = Vocabulary(hashes, idf.astype(np.float32))
    weights = [known.weight(located_words(s.text[:LONGEST])) for s in samples]
    return Vocabulary(hashes, known.idf, float(np.median(weights)))


def _matrix(vocabulary: Vocabulary, samples: Sequence[Sample]) -> csr_array:
    rows, columns, values = [], [], []
    for number, sample in enumerate(samples):
        found = vocabulary.features(located_words(sample.text[:LONGEST]))
        rows.append(np.full(len(found.rows), number))
        columns.append(found.rows)
        values.append(found.values)
    shape = (len(samples), len(vocabulary.hashes))
    places = (np.concatenate(rows), np.concatenate(columns))
    # What stands at one place twice is added up.
    return csr_array((np.concatenate(values), places), shape=shape)


def _temperature(scores: Floats, labels: NDArray[np.int64]) -> float:
    """Return what makes the probabilities of unseen samples likeliest to be right."""

    def surprise(logarithm: float) -> float:
        chances = probabilities(scores, float(np.exp(logarithm)))
        right = chances[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    found = minimize_scalar(surprise, bounds=(-4.0, 4.0), method="bounded")
    return float(np.exp(found.x))


def crossed(
    samples: Sequence[Sample], at: datetime
) -> Iterator[tuple[Model | None, Sequence[Sample]]]:
    """Yield models, each with samples that it has not learnt from; each sample once.

    Samples of one text go together: a report that came twice would be recognised. What
    sets a model's probabilities is what it has learnt from alone. None: there are too
    few samples.
    """
    try:
        learnable, left_out = _learnable(samples)
    except PluginError:
        yield None, samples
        return
    rest = [sample for sample in samples if sample.service in left_out]
    services = [sample.service for sample in learnable]
    texts = [" ".join(words_of(sample.text)) for sample in learnable]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for learnt, asked in folds.split(texts, services, texts):
        try:
            model = train([learnable[n] for n in learnt], at).model
        except PluginError:
            model = None
        yield model, [*(learnable[n] for n in asked), *rest]
        rest = []
