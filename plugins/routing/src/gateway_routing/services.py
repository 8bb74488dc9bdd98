"""How each service fares: figures of who got what, and whose it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFigures:
    """How one service fares: precision, recall, their harmonic mean, samples."""

    service: str
    precision: float
    recall: float
    f1: float
    samples: int


def of_services(truth: Sequence[str], said: Sequence[str]) -> list[ServiceFigures]:
    """Return the figures of each service that is true anywhere."""
    there, named = Counter(truth), Counter(said)
    hits = Counter(t for t, s in zip(truth, said, strict=True) if t == s)
    return [
        ServiceFigures(
            service=service,
            precision=hits[service] / named[service] if named[service] else 0.0,
            recall=hits[service] / there[service],
            f1=2 * hits[service] / (named[service] + there[service]),
            samples=there[service],
        )
        for service in sorted(there)
    ]
