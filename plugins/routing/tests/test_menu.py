"""The question to the citizen, and what counts as an answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from gateway_routing import RoutingConfig, RoutingPlugin
from pydantic import ValidationError

from gateway.model import Address, Amendment, ChannelId, Message, MessageId
from gateway.testing.kit import make_context

TOPICS = [
    {"service": "strade", "title": "Strade e buche", "description": "Anche lampioni"},
    {"service": "urp", "title": "Altro"},
]
CONFIG = {
    "rules": [{"service": "rifiuti", "words": ["cassonett*"]}],
    "question": {"otherwise": "urp", "wait_minutes": 5, "topics": TOPICS},
}
MESSAGE = Message(
    id=MessageId("m1"),
    channel=ChannelId("urp"),
    external_id="wamid.1",
    sender=Address("whatsapp", "1"),
    sent_at=datetime(2026, 11, 22, 22, 0, tzinfo=UTC),
    received_at=datetime(2026, 11, 22, 22, 0, tzinfo=UTC),
)


@pytest.fixture
async def plugin():
    """The plugin, started."""
    plugin = RoutingPlugin()
    await plugin.startup(
        make_context(None, config=RoutingConfig.model_validate(CONFIG))
    )
    return plugin


async def test_nothing_known_is_asked(plugin):
    """The topics as options, with ids that say what they mean."""
    assignment = await plugin.route_message(replace(MESSAGE, text="buongiorno"))

    question = assignment.question
    assert ("urp", 0.0) == (assignment.service, assignment.confidence)
    assert ("Di che cosa si tratta?", timedelta(minutes=5)) == (
        question.text,
        question.wait,
    )
    assert [
        ("topic:strade:Strade e buche", "Strade e buche", "Anche lampioni"),
        ("topic:urp:Altro", "Altro", ""),
    ] == [(o.id, o.title, o.description) for o in question.menu.options]


async def test_words_of_a_rule_are_not_asked_about(plugin):
    """The city's rules go first."""
    assignment = await plugin.route_message(replace(MESSAGE, text="un cassonetto"))

    assert ("rifiuti", None) == (assignment.service, assignment.question)


@pytest.mark.parametrize(
    "said",
    [
        {"choice": "topic:strade:Strade e buche", "text": "Strade e buche"},
        {"text": " strade E buche\n"},
    ],
    ids=["tapped", "written"],
)
async def test_chosen(plugin, said):
    """By a tap, or in words."""
    assignment = await plugin.route_message(replace(MESSAGE, **said))

    assert ("strade", True) == (assignment.service, assignment.chosen)


async def test_choice_that_we_did_not_offer(plugin):
    """What somebody else's menu returns is words like any."""
    said = replace(MESSAGE, choice="topic:mafia:x", text="un cassonetto")
    assignment = await plugin.route_message(said)

    assert ("rifiuti", False) == (assignment.service, assignment.chosen)


async def test_amendments_are_not_asked_about(plugin):
    """They join what they are about."""
    said = replace(MESSAGE, amends="m0", amendment=Amendment.REACTION, text="x")

    assert await plugin.route_message(said) is None


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        (TOPICS[:1], "at least 2"),
        (TOPICS * 6, "at most 10"),
        ([TOPICS[0], {**TOPICS[1], "title": "STRADE E BUCHE"}], "is there twice"),
        ([TOPICS[0], {**TOPICS[1], "title": "x" * 25}], "at most 24"),
    ],
)
def test_wrong_topics(topics, complaint):
    """What no channel could show is told at start."""
    question = {**CONFIG["question"], "topics": topics}

    with pytest.raises(ValidationError, match=complaint):
        RoutingConfig.model_validate({"question": question})
