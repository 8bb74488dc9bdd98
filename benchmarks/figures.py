"""Figures: ours beside a reference measured in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; ``ratio`` is ours over the reference.

    ``spread`` is (highest - lowest ratio) / median over the rounds; ``at_least`` or
    ``at_most`` is what we promise of the ratio, if anything.
    """

    name: str
    ours: float
    reference: float
    ratio: float
    spread: float
    unit: str
    against: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Tell whether the promise holds; None if there is none."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return None

    @property
    def target(self) -> str:
        """Return the promise in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""


def compare(  # noqa: PLR0913 (a line of the table has so many columns)
    name: str,
    ours: Sequence[float],
    reference: Sequence[float],
    *,
    unit: str,
    against: str,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """Return the medians of interleaved rounds, and of the ratios round by round."""
    ratios = [mine / other for mine, other in zip(ours, reference, strict=True)]
    ratio = statistics.median(ratios)
    return Figure(
        name=name,
        ours=statistics.median(ours),
        reference=statistics.median(reference),
        ratio=ratio,
        spread=(max(ratios) - min(ratios)) / ratio if ratio else 0.0,
        unit=unit,
        against=against,
        at_least=at_least,
        at_most=at_most,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
