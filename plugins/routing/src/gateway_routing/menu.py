"""Asks the citizen what a report is about, and understands the answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from gateway.model import (
    Alternative,
    Assignment,
    Grounds,
    Menu,
    Message,
    Option,
    Question,
    ServiceId,
)
from gateway_routing.config import QuestionSection, Topic


class TopicMenu:
    """The topics of a city, as a menu."""

    def __init__(self, config: QuestionSection) -> None:
        """Prepare the menu."""
        self._otherwise = ServiceId(config.otherwise)
        self._topics = {_id(topic): topic for topic in config.topics}
        self._titles = {topic.title.casefold(): topic for topic in config.topics}
        self._question = Question(
            text=config.text,
            menu=Menu(
                options=tuple(_option(topic) for topic in config.topics),
                label=config.label,
            ),
            wait=timedelta(minutes=config.wait_minutes),
        )

    def chosen(self, message: Message) -> Assignment | None:
        """Return what the citizen chose, by a tap or by writing the title."""
        topic = self._topics.get(message.choice) or self._titles.get(
            message.text.strip().casefold()
        )
        if topic is None:
            return None
        return Assignment(
            service=ServiceId(topic.service),
            reason=f"scelto: {topic.title}",
            source="routing",
            chosen=True,
            grounds=Grounds(layer="choice"),
        )

    def asking(self, likely: Sequence[Alternative] = ()) -> Assignment:
        """Return the assignment of what nobody can tell: the citizen is asked.

        Topics of ``likely`` services come first, in that order.
        """
        return Assignment(
            service=self._otherwise,
            reason="nessuna regola",
            source="routing",
            confidence=0.0,
            question=replace(self._question, menu=self._menu(likely)),
            grounds=Grounds(layer="question", alternatives=tuple(likely)),
        )

    def _menu(self, likely: Sequence[Alternative]) -> Menu:
        rank = {each.service: place for place, each in enumerate(likely)}
        menu = self._question.menu
        services = {_id(topic): topic.service for topic in self._topics.values()}
        ordered = sorted(
            menu.options,
            key=lambda option: rank.get(services[option.id], len(rank)),
        )
        return replace(menu, options=tuple(ordered))


def _id(topic: Topic) -> str:
    # What it means, not where it stands: an old menu is tapped after a new one is set.
    return f"topic:{topic.service}:{topic.title}"


def _option(topic: Topic) -> Option:
    return Option(id=_id(topic), title=topic.title, description=topic.description)
