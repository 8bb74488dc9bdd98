"""Tokens: got, kept, renewed; and real servers that take them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import aiosmtplib.smtp
import pytest
from gateway_email import EmailChannel, EmailConnector, EmailConnectorConfig
from gateway_email.imap import aioimaplib, open_mailbox
from gateway_email.oauth2 import TokenError, Tokens, Wallet, oauthbearer, xoauth2
from pydantic import ValidationError
from smtp_servers import serving
from token_provider import TokenProvider

from gateway.errors import DeliveryError
from gateway.model import ChannelId, DeliveryId, Handover, HealthStatus, ServiceId
from gateway.testing.kit import ManualClock

MakeContext = Callable[..., Any]


@pytest.fixture
async def provider() -> AsyncIterator[TokenProvider]:
    """A provider of tokens."""
    async with TokenProvider().serving() as made:
        yield made


def _at(context: Any, clock: ManualClock) -> Any:
    return type(context)(
        **{name: getattr(context, name) for name in context.__slots__}
        | {"clock": clock}
    )


async def test_app_gets_a_token_and_keeps_it(provider, context: MakeContext):
    """One request until shortly before it expires; then another."""
    clock = ManualClock()
    tokens = Tokens(provider.config(), _at(context(), clock))
    first = [await tokens.token(), await tokens.token()]
    clock.advance(3539)
    kept = await tokens.token()
    clock.advance(2)

    assert ["token-1", "token-1"] == first
    assert ("token-1", "token-2") == (kept, await tokens.token())
    assert ["client_credentials", "client_credentials"] == provider.asked


async def test_refused_token_is_renewed_once(provider, context: MakeContext):
    """What a server has just refused is not handed out again; a newer one is."""
    tokens = Tokens(provider.config(), context())
    first = await tokens.token()
    second = await tokens.token(refused=first)

    assert (first, second) == ("token-1", "token-2")
    assert second == await tokens.token(refused=first)


async def test_new_refresh_token_is_kept(provider, context: MakeContext):
    """A provider that rotates them is asked with the last one, also after a restart."""
    provider.rotates = True
    config = provider.config(refresh_token="first")
    shared = context()
    await Tokens(config, shared).token()
    await Tokens(config, shared).token()

    assert "next-2" == provider.refresh_token
    assert ["refresh_token", "refresh_token"] == provider.asked
    replaced = provider.config(refresh_token="written by hand")
    with pytest.raises(TokenError, match="invalid_grant"):
        await Tokens(replaced, shared).token()


async def test_all_who_use_an_account_share_its_tokens(provider, context: MakeContext):
    """Two that each kept a refresh token of their own would lock each other out."""
    provider.rotates = True
    wallet, config = Wallet(), provider.config(refresh_token="first")
    wallet.state = context().state
    mailbox, connector = (wallet.tokens(config, context()) for _ in range(2))
    other = wallet.tokens(provider.config(refresh_token="first", scope="x"), context())

    got = await asyncio.gather(*(t.token() for t in (mailbox, connector, other) if t))

    assert "token-1" == got[0] == got[1] != got[2]
    assert "next-2" == provider.refresh_token


async def test_other_node_was_there_before(provider, context: MakeContext):
    """Its newer refresh token is taken, and nobody has to agree again."""
    provider.rotates = True
    config, shared = provider.config(refresh_token="first"), context()
    here, there = Tokens(config, shared), Tokens(config, shared)
    real, late = shared.state.get, asyncio.Event()

    async def slow(key: str) -> Any:
        found = await real(key)
        if not late.is_set():
            late.set()
            await there.token()
        return found

    shared.state.get = slow
    assert "token-3" == await here.token()
    assert 3 == len(provider.asked)


@pytest.mark.parametrize(
    ("changes", "code", "mend"),
    [
        ({"client_secret": "falso"}, "invalid_client", "a secret may have expired"),
        ({"refresh_token": "old"}, "invalid_grant", "replace refresh_token"),
        ({"scope": ""}, "invalid_scope", "check scope"),
    ],
)
async def test_error_says_what_to_mend(
    provider, context: MakeContext, changes, code, mend
):
    """Each error of RFC 6749 §5.2 names the key to look at, and no secret."""
    with pytest.raises(TokenError) as caught:
        await Tokens(provider.config(**changes), context()).token()

    assert code == caught.value.code
    assert mend in str(caught.value)
    assert not {"falso", "old", "segreto"} & set(str(caught.value).split())


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>Login</html>"),
        (200, "{}"),
        (200, "[1]"),
        (302, ""),
        (500, "oops"),
        (200, '{"access_token": "x", "token_type": "Bearer", "expires_in": "soon"}'),
    ],
)
async def test_odd_answer_is_no_token(provider, context: MakeContext, answer):
    """Whatever a wrong address answers is told as such."""
    provider.answers.append(answer)
    with pytest.raises(TokenError, match="check token_url"):
        await Tokens(provider.config(), context()).token()


async def test_unreachable_provider_is_named(context: MakeContext):
    """Nobody listens there: the host is told."""
    config = TokenProvider(port=1).config()
    with pytest.raises(TokenError, match=r"token_unreachable: 127\.0\.0\.1"):
        await Tokens(config, context()).token()


def test_initial_responses_are_as_documented():
    """Google's own example of XOAUTH2, and the example of RFC 7628 §4.1."""
    google = xoauth2(
        "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
    )
    ours = base64.b64decode(
        oauthbearer("user@example.com", "server.example.com", 143, "T")
    )

    assert google == (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52"
        "YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )
    assert ours == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer T\x01\x01"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": "x"}, "password or oauth2, not both"),
        ({"username": None}, "oauth2 together with username"),
        ({"host": "mail.example.it"}, "a password needs TLS"),
    ],
)
def test_account_has_one_way_in(settings, changes, told):
    """What does not go together is a mistake of the configuration."""
    oauth2 = {
        "token_url": "https://x.example/t",
        "client_id": "a",
        "client_secret": "b",
    }
    with pytest.raises(ValidationError, match=told):
        settings(**{"username": "urp@comune.test", "oauth2": oauth2, **changes})


def test_secret_goes_over_tls_only():
    """No token endpoint in clear but on this machine."""
    with pytest.raises(ValidationError, match="https"):
        TokenProvider().config(token_url="http://login.example.it/token")


@pytest.fixture(params=["OAUTHBEARER", "XOAUTH2"])
def mechanism(request, monkeypatch) -> str:
    """What the real servers offer: both, or only what the large providers have."""
    if request.param == "XOAUTH2":
        knows = aioimaplib.IMAP4.has_capability
        monkeypatch.setattr(
            aioimaplib.IMAP4,
            "has_capability",
            lambda self, name: name != "AUTH=OAUTHBEARER" and knows(self, name),
        )
        read = aiosmtplib.smtp.parse_esmtp_extensions

        def without(message: str) -> tuple[dict[str, str], list[str]]:
            extensions, methods = read(message)
            return extensions, [each for each in methods if each != "oauthbearer"]

        monkeypatch.setattr(aiosmtplib.smtp, "parse_esmtp_extensions", without)
    return str(request.param)


def _posta(peer: Any, channel: Any, context: Any, oauth2: Any) -> EmailChannel:
    config = channel().config.model_copy(
        update={
            "host": peer.host,
            "port": peer.imap_port,
            "security": "tls",
            "cafile": peer.cafile,
            "password": None,
            "oauth2": oauth2,
        }
    )
    return EmailChannel(ChannelId("posta"), config, context)


def _office(peer: Any, context: MakeContext, oauth2: Any) -> EmailConnector:
    made = context(
        host=peer.host,
        port=peer.submission_tls_port,
        security="tls",
        cafile=peer.cafile,
        username="urp@comune.test",
        oauth2=oauth2,
    )
    config = EmailConnectorConfig(to=["strade@comune.test"])
    return EmailConnector(ServiceId("strade"), config, made)


async def test_dovecot_and_postfix_take_our_token(
    mail_server: Any,
    context: MakeContext,
    channel: Any,
    handover: Callable[..., Handover],
    mechanism: str,
):
    """In and out with a token; one that was revoked is renewed without a word."""
    port = mail_server.introspection_port
    async with TokenProvider().serving(port) as provider:
        posta = _posta(mail_server, channel, context(), provider.config())
        office = _office(mail_server, context, provider.config())
        posta = EmailChannel(posta.id, posta.config, office.context)
        first = [(await posta.check()).status, (await office.check()).status]
        provider.valid.clear()
        second = [(await posta.check()).status, (await office.check()).status]
        await office.deliver(handover(delivery_id=DeliveryId(str(uuid4()))))

    assert mechanism
    assert [HealthStatus.OK] * 4 == [*first, *second]
    assert {"client_credentials"} == set(provider.asked)
    assert provider.introspected


async def test_token_of_somebody_else_is_refused(
    mail_server: Any,
    context: MakeContext,
    channel: Any,
    handover: Callable[..., Handover],
    mechanism: str,
):
    """The servers refuse it, the connection does not hang, the account is to blame."""
    port = mail_server.introspection_port
    async with TokenProvider(account="altri@comune.test").serving(port) as provider:
        health = await _posta(
            mail_server, channel, context(), provider.config()
        ).check()
        office = _office(mail_server, context, provider.config())
        with pytest.raises(DeliveryError) as caught:
            await office.deliver(handover())

    assert mechanism
    assert HealthStatus.DOWN is health.status
    assert "imap_login: the server refused a fresh token" in health.text
    assert ("smtp_login", True) == (caught.value.code, caught.value.account)


async def test_server_without_initial_responses_is_answered(
    provider, channel: Any, context: MakeContext
):
    """The token goes after the server's "+" (RFC 3501 §6.2.2), a refusal is closed."""
    heard: list[str] = []

    async def serve(reader: Any, writer: Any) -> None:
        writer.write(b"* OK hi\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, _, rest = line.partition(" ")
            if rest == "CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n")
            if rest.startswith("AUTHENTICATE"):
                heard.append(rest)
                writer.write(b"+ \r\n")
                heard.append((await reader.readline()).decode().strip())
                if heard[-1] == xoauth2("urp@comune.test", "token-1"):
                    writer.write(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
                    heard.append((await reader.readline()).decode())
                    writer.write(f"{tag} NO refused\r\n".encode())
                    continue
            writer.write(f"{tag} OK done\r\n".encode())

    async with serving(serve) as port:
        config = channel(port=port).config
        config = config.model_copy(update={"password": None})
        tokens = Tokens(provider.config(), context())
        async with open_mailbox(config, "", tokens=tokens):
            pass

    assert [
        "AUTHENTICATE XOAUTH2",
        xoauth2("urp@comune.test", "token-1"),
        "\r\n",
        "AUTHENTICATE XOAUTH2",
        xoauth2("urp@comune.test", "token-2"),
    ] == heard
