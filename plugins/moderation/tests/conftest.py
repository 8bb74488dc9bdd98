"""A message and a started plugin."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from gateway_moderation import ModerationConfig, ModerationPlugin

from gateway.model import Address, ChannelId, Message, MessageId
from gateway.testing.kit import make_context

NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
MESSAGE = Message(
    id=MessageId("m1"),
    channel=ChannelId("urp"),
    external_id="wamid.1",
    sender=Address("whatsapp", "1"),
    sent_at=NOW,
    received_at=NOW,
)


@pytest.fixture
def message():
    """Make a message that says something."""
    return lambda text: replace(MESSAGE, text=text)


@pytest.fixture
def context():
    """Make a context with the settings given."""
    return lambda **settings: make_context(None, config=ModerationConfig(**settings))


@pytest.fixture
def started(context):
    """Start a plugin with the settings given; return it with its context."""

    async def started(**settings):
        plugin, made = ModerationPlugin(), context(**settings)
        await plugin.startup(made)
        return plugin, made

    return started
