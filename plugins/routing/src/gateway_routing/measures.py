"""How good a model is: figures of its answers to samples whose service is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway_routing.model import Floats
from gateway_routing.services import ServiceFigures, of_services

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found.

    ``top1`` and ``top3``: the right service is the first answer, among the first three.
    ``ece``: how far probability and truth are apart on average (expected calibration
    error, ten bins). ``right`` and ``confidence`` are of each sample.
    """

    top1: float
    top3: float
    macro_f1: float
    ece: float
    services: Sequence[ServiceFigures]
    right: NDArray[np.bool_]
    confidence: Floats

    def covered(self, threshold: float) -> tuple[float, float]:
        """Return how many are answered so surely at least, and how many rightly."""
        sure = self.confidence >= threshold
        right = float(self.right[sure].mean()) if sure.any() else 0.0
        return float(sure.mean()), right

    def summary(self) -> dict[str, float]:
        """Return the figures of the whole, rounded."""
        names = ("top1", "top3", "macro_f1", "ece")
        return {name: round(float(getattr(self, name)), 4) for name in names}


def measure(truth: Sequence[str], services: Sequence[str], chances: Floats) -> Measured:
    """Compare ``chances`` (samples by services) with the true service of each sample.

    What is no service of the model counts as answered wrongly.
    """
    order = np.argsort(-chances, axis=1, kind="stable")
    names = np.array(services)
    actual = np.array(truth)
    first = names[order[:, 0]]
    right = first == actual
    confidence = chances[np.arange(len(actual)), order[:, 0]]
    figures = of_services(truth, [str(each) for each in first])
    return Measured(
        top1=float(right.mean()),
        top3=float((names[order[:, :3]] == actual[:, None]).any(axis=1).mean()),
        macro_f1=float(np.mean([each.f1 for each in figures])),
        ece=_calibration_error(right, confidence),
        services=figures,
        right=right,
        confidence=confidence,
    )


def _calibration_error(right: NDArray[np.bool_], confidence: Floats) -> float:
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(right[bins == n].mean() - confidence[bins == n].mean()))
        * float((bins == n).mean())
        for n in range(BINS)
        if (bins == n).any()
    ]
    return float(sum(gaps))
