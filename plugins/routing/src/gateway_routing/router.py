"""The layers, one after the other: choice, rules, model, question.

The first that is sure names the service; each can tell what it says and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Alternative, Assignment, Clue, Grounds, Message, ServiceId
from gateway_routing.conditions import Senses
from gateway_routing.config import RoutingConfig
from gateway_routing.menu import TopicMenu
from gateway_routing.rules import ALTERNATIVES, SOURCE, RuleBook

MODEL = "model"


class Predicted(Protocol):
    """What a model says: services with their probabilities, and what weighed most."""

    @property
    def ranked(self) -> Collection[tuple[ServiceId, float]]:
        """All services, the likeliest first."""

    @property
    def clues(self) -> Collection[Clue]:
        """The words that weighed most for the likeliest."""


class Predicts(Protocol):
    """A model; a Protocol, because the real one needs numpy."""

    def predict(
        self, text: str, among: Collection[str] | None = None
    ) -> Predicted | None:
        """Return what the model says of a text; None if it knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one layer says of a message, and whether it decides."""

    layer: str
    says: Assignment | None
    decides: bool


class Router:
    """All layers of one city."""

    def __init__(
        self,
        config: RoutingConfig,
        services: Collection[ServiceId] = (),
        *,
        model: Predicts | None = None,
        senses: Senses | None = None,
    ) -> None:
        """Route to ``services`` (empty: any that the configuration names)."""
        self._rules = RuleBook(config.rules, senses)
        self._model = model
        self._threshold = config.model.min_confidence if config.model else 1.0
        self._services = frozenset(services) or None
        self._menu = TopicMenu(config.question) if config.question else None

    def with_model(self, model: Predicts | None, threshold: float) -> Router:
        """Return the same layers with another model, or with none."""
        other = copy(self)
        other._model, other._threshold = model, threshold  # noqa: SLF001 (its like)
        return other

    def route(self, message: Message) -> Assignment | None:
        """Return what the first layer says that decides."""
        for step in self.steps(message):
            if step.decides:
                return step.says
        return None

    def steps(self, message: Message) -> Iterator[Step]:
        """Yield what each layer says; the first that decides is the answer."""
        menu = self._menu
        if menu is not None:
            chosen = menu.chosen(message)
            yield Step("choice", chosen, chosen is not None)
        held = self._rules.assign(message)
        yield Step("rules", held, held is not None)
        likely = None
        if self._model is not None:
            likely = self._predicted(self._model, message.text)
            sure = likely is not None and likely.confidence >= self._threshold
            yield Step(MODEL, likely, sure)
        if menu is not None and message.amendment is None:
            yield Step("question", menu.asking(_candidates(likely)), decides=True)

    def _predicted(self, model: Predicts, text: str) -> Assignment | None:
        found = model.predict(text, self._services)
        if found is None:
            return None
        (service, chance), *others = found.ranked
        words = ", ".join(text[c.start : c.end] for c in found.clues)
        return Assignment(
            service=service,
            reason=f"modello: {words}",
            source=SOURCE,
            confidence=min(chance, 1.0),
            grounds=Grounds(
                layer=MODEL,
                clues=tuple(found.clues),
                alternatives=tuple(
                    Alternative(service=s, score=round(p, 4))
                    for s, p in others[:ALTERNATIVES]
                ),
            ),
        )


def _candidates(likely: Assignment | None) -> list[Alternative]:
    """Return whom the model thought of, not surely enough."""
    if likely is None or likely.grounds is None:
        return []
    first = Alternative(service=likely.service, score=round(likely.confidence, 4))
    return [first, *likely.grounds.alternatives]
