"""Asks all layers about decided reports, the model never about what it has learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.model import ServiceId
from gateway_routing.config import RoutingConfig
from gateway_routing.judging import Judged, answers_of
from gateway_routing.router import Predicts, Router
from gateway_routing.samples import Sample


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The layers of a city, and who gets what none of them decides."""

    router: Router
    config: RoutingConfig
    default: ServiceId

    def ask(self, samples: Iterable[Sample]) -> list[Judged]:
        """Return what the layers say, as they are configured."""
        return self._asked(self.router, samples)

    def ask_crosswise(
        self,
        crossed: Iterable[tuple[Predicts | None, Sequence[Sample]]],
        threshold: float,
    ) -> list[Judged]:
        """Return what they say with other models, each asked about its own samples."""
        return [
            judged
            for model, samples in crossed
            for judged in self._asked(self.router.with_model(model, threshold), samples)
        ]

    def _asked(self, router: Router, samples: Iterable[Sample]) -> list[Judged]:
        question = self.config.question
        topics = {t.title: t.service for t in question.topics} if question else {}
        return [
            Judged(
                sample.service,
                tuple(answers_of(router.steps(sample.begun), topics, self.default)),
            )
            for sample in samples
        ]


def parted(
    samples: Sequence[Sample], trained_at: datetime
) -> tuple[list[Sample], list[Sample]]:
    """Return those that a model may have learnt from, and those that are newer."""
    old = [each for each in samples if each.begun.received_at <= trained_at]
    new = [each for each in samples if each.begun.received_at > trained_at]
    return old, new
