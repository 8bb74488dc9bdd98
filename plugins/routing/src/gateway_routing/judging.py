"""What each layer makes of reports whose service is known; pure.

The first layer that is sure decides, as in the stream. What the others would have said
is noted too: what the whole would be without a layer tells what that layer brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import ServiceId
from gateway_routing.router import Step

DEFAULT = "default service"

LAYERS = ("choice", "rules", "model", "question", DEFAULT)
"""All there are, in their order."""

CLAIMING = ("rules", "model")
"""Those whose confidence may be measured: the others are certain, or claim nothing."""

BINS = 10
"""Of a calibration: confidences from 0 to 0.1, and so on."""

_FIRST = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What one layer says of one report.

    ``offered`` are the services that it thought of, or that it lets the citizen choose
    from, the likeliest first.
    """

    layer: str
    service: str
    offered: tuple[str, ...]
    confidence: float = 0.0
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """A report whose service is known, and what each layer says of it."""

    truth: str
    answers: Sequence[Answer]

    @property
    def decided(self) -> Answer:
        """The answer that counts."""
        return next(answer for answer in self.answers if answer.decides)

    @property
    def right(self) -> bool:
        """Whether the right service gets it."""
        return self.decided.service == self.truth

    @property
    def among_first(self) -> bool:
        """Whether the right service is among the first three that were thought of."""
        return self.truth in self.decided.offered[:_FIRST]

    def right_without(self, layer: str) -> bool:
        """Whether the right service would get it if there were no such layer."""
        others = (a for a in self.answers if a.decides and a.layer != layer)
        answer = next(others, None)
        return answer is not None and answer.service == self.truth


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFigures:
    """How one layer fares.

    Of how many reports it ``said`` anything, surely or not, and how often rightly; how
    many it ``decided``, and sent to the ``right`` service; of how many that service was
    among the first three it thought of (``top3``); how far its confidence is off
    (``ece``; None if it claims none); how many of all reports would be right
    ``without`` it.
    """

    layer: str
    said: int
    said_right: int
    decided: int
    right: int
    top3: int
    ece: float | None
    without: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Reports that a layer decided with about the same confidence.

    ``least`` is where the bin begins, ``confidence`` the mean of its reports, ``right``
    the share of those that went to the right service.
    """

    layer: str
    least: float
    reports: int
    confidence: float
    right: float


def answers_of(
    steps: Iterable[Step], topics: Mapping[str, str], default: ServiceId
) -> Iterator[Answer]:
    """Yield what each layer says; ``topics`` are the services of a question's titles.

    A question's own service is who gets a report whose citizen does not choose.
    """
    for step in steps:
        said = step.says
        if said is None:
            continue
        others = said.grounds.alternatives if said.grounds else ()
        offered = [said.service, *(each.service for each in others)]
        if said.question is not None:
            offered = [
                ServiceId(topics[each.title]) for each in said.question.menu.options
            ]
        different = tuple(dict.fromkeys(offered))
        yield Answer(step.layer, said.service, different, said.confidence, step.decides)
    yield Answer(DEFAULT, default, (default,))


def by_layer(judged: Sequence[Judged]) -> list[LayerFigures]:
    """Return the figures of each layer that has decided anything, in their order.

    Also of those that claim a confidence and never were sure enough.
    """
    found = [_figures(layer, judged) for layer in LAYERS]
    return [f for f in found if f.decided or (f.said and f.layer in CLAIMING)]


def calibration(judged: Sequence[Judged]) -> list[Bin]:
    """Return how often each claiming layer is right, by its confidence."""
    return [each for layer, own in _claimed(judged) for each in _bins(layer, own)]


def error(judged: Sequence[Judged]) -> float | None:
    """Return how far confidence and truth are apart where a layer claims any.

    The expected calibration error of ten bins; None if no such layer decided.
    """
    own = [each for _, some in _claimed(judged) for each in some]
    return _error(own) if own else None


def _figures(layer: str, judged: Sequence[Judged]) -> LayerFigures:
    said = [
        answer.service == each.truth
        for each in judged
        for answer in each.answers
        if answer.layer == layer
    ]
    own = [each for each in judged if each.decided.layer == layer]
    return LayerFigures(
        layer=layer,
        said=len(said),
        said_right=sum(said),
        decided=len(own),
        right=sum(each.right for each in own),
        top3=sum(each.among_first for each in own),
        ece=_error(own) if own and layer in CLAIMING else None,
        without=sum(each.right_without(layer) for each in judged),
    )


def _claimed(judged: Sequence[Judged]) -> Iterator[tuple[str, Sequence[Judged]]]:
    for layer in CLAIMING:
        own = [each for each in judged if each.decided.layer == layer]
        if own:
            yield layer, own


def _error(judged: Sequence[Judged]) -> float:
    gaps = [abs(b.confidence - b.right) * b.reports for b in _bins("", judged)]
    return sum(gaps) / len(judged)


def _bins(layer: str, judged: Sequence[Judged]) -> list[Bin]:
    found: dict[int, list[Judged]] = {}
    for each in judged:
        place = min(int(each.decided.confidence * BINS), BINS - 1)
        found.setdefault(place, []).append(each)
    return [
        Bin(
            layer=layer,
            least=place / BINS,
            reports=len(own),
            confidence=sum(each.decided.confidence for each in own) / len(own),
            right=sum(each.right for each in own) / len(own),
        )
        for place, own in sorted(found.items())
    ]
