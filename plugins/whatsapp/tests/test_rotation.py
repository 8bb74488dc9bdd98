"""A running channel takes a new token and a new app secret from their files."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_whatsapp import WhatsAppChannel

from gateway.model import HealthStatus
from gateway.setup import set_up

CONFIG = """
[gateway]
name = "Comune"
plugins = ["whatsapp", "email"]
default_service = "urp"

[channels.whatsapp]
type = "whatsapp"
phone_number_id = "1122334455667"
token = {{ file = "token" }}
app_secrets = [{{ file = "secret" }}]
verify_token = {{ env = "WORD" }}
base_url = "{base_url}"

[plugins.email]
host = "smtp.comune.example.it"
sender = "urp@comune.example.it"
reply_to = "urp@comune.example.it"
domain = "comune.example.it"
key = {{ env = "WORD" }}

[services.urp]
name = "URP"
connectors = [{{ type = "email", to = ["urp@comune.example.it"] }}]
"""


@pytest.fixture
def put(tmp_path):
    """Put a word into a private file, at once."""

    def replace(name: str, word: str) -> None:
        other = tmp_path / "next"
        other.touch(mode=0o600)
        other.write_text(f"{word}\n")
        other.replace(tmp_path / name)

    return replace


@pytest.fixture
def running(tmp_path, monkeypatch, channel, put):
    """Make a channel as the gateway does, from its configuration."""

    def make(base_url: str) -> WhatsAppChannel:
        monkeypatch.setenv("WORD", "sixteen characters and more")
        put("token", "the-token")
        put("secret", "testappsecret")
        path = tmp_path / "gateway.toml"
        path.write_text(CONFIG.format(base_url=base_url))
        config = set_up(path).settings.channels["whatsapp"].config
        return WhatsAppChannel("whatsapp", config, channel().context)

    return make


@pytest.fixture
async def meta():
    """A Cloud API that takes anything, and remembers which token came."""
    seen: list[str] = []

    async def handler(request):
        seen.append(request.headers["Authorization"])
        return web.json_response({"messages": [{"id": "wamid.1"}]})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/v25.0")), seen


async def test_new_token_is_used_at_once(meta, running, put, outgoing):
    """The next message after the file was replaced goes out with the new token."""
    base_url, seen = meta
    made = running(base_url)
    await made.send(outgoing())
    put("token", "the-new-token")
    await made.send(outgoing())

    assert ["Bearer the-token", "Bearer the-new-token"] == seen


async def test_revoked_token_is_mended_without_restart(sim, running, put):
    """With a token that Meta refuses the channel is down; with the next it is well."""
    made = running(sim.base_url)
    put("token", "revoked")
    before = await made.check()
    put("token", "the-token")
    after = await made.check()

    assert HealthStatus.DOWN is before.status
    assert HealthStatus.DOWN is not after.status


async def test_new_app_secret_signs_at_once(sim, running, put, serve, inbox):
    """A webhook that the new secret signed is taken, one of the old one no longer."""
    made = running(sim.base_url)
    sim.webhook_url = await serve(made)
    message = sim.text("393290000000", "Buongiorno")
    first = await sim.webhook(message)
    put("secret", "the-new-secret")
    second = await sim.webhook(message, secret="the-new-secret")
    third, _ = await sim.webhook(message)

    assert [(200, "accepted\n")] * 2 == [first, second]
    assert 401 == third
    assert 2 == len(inbox.calls)
