"""Access tokens for the mail servers of large providers (RFC 6749).

From a refresh token (§6) or, for an app of its own, from its credentials (§4.4). A
token is kept until shortly before it expires. A new refresh token that the provider
hands out replaces the configured one, in the plugin's own state.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.connections import explain
from gateway.errors import GatewayError
from gateway.plugin import Context, PluginState
from gateway_email.config import OAuth2Config

_EARLY_SECONDS = 60.0
_USUAL_SECONDS = 3600.0
"""How long a token works if the provider does not say (RFC 6749 §5.1)."""

_TIMEOUT = aiohttp.ClientTimeout(total=20)
_MEND = {
    "invalid_client": "check client_id and client_secret; a secret may have expired",
    "invalid_grant": "the refresh token has expired or was revoked: have the account"
    " agree again and replace refresh_token",
    "invalid_scope": "check scope",
    "unauthorized_client": "the provider does not allow this app this way of getting"
    " tokens: have its administrator agree",
    "unsupported_grant_type": "check token_url",
    "invalid_request": "check token_url, client_id and scope",
}
"""What to do about each error of RFC 6749 §5.2."""


class TokenError(GatewayError):
    """No token is to be had; ``code`` is that of RFC 6749 §5.2 where there is one."""

    def __init__(self, code: str, text: str) -> None:
        """Keep the code; the text says what to mend, and holds no secret."""
        super().__init__(f"{code}: {text}")
        self.code = code


class Wallet:
    """The tokens of all accounts of a gateway, each once, whoever asks for them.

    A provider that hands out new refresh tokens may revoke the last one: two who keep
    their own would lock each other out.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.state: PluginState | None = None
        """Where refresh tokens are kept; without it, in the state of who asks."""
        self._tokens: dict[str, Tokens] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def tokens(
        self, config: OAuth2Config | None, context: Context[Any]
    ) -> Tokens | None:
        """Return the tokens of an account, None for one with a password."""
        if config is None:
            return None
        account = _account(config)
        made = Tokens(config, context, self, self._locks[account])
        return self._tokens.setdefault(f"{account} {config.scope}", made)


class Tokens:
    """The access token of one account."""

    def __init__(
        self,
        config: OAuth2Config,
        context: Context[Any],
        wallet: Wallet | None = None,
        lock: asyncio.Lock | None = None,
    ) -> None:
        """Ask nobody yet; ``lock`` is held while the refresh token is used."""
        self._config = config
        self._context = context
        self._wallet = wallet or Wallet()
        self._lock = lock or asyncio.Lock()
        self._key = f"oauth2:{_account(config)}"
        self._token = ""
        self._good_until = 0.0

    async def token(self, refused: str = "") -> str:
        """Return a token that is good; not the one that a server has just refused.

        Raises:
            TokenError: there is none.

        """
        async with self._lock:
            now = self._context.clock.monotonic()
            if not self._token or now >= self._good_until or self._token == refused:
                await self._renew(now)
            return self._token

    async def _renew(self, now: float) -> None:
        grant, rotated = await self._grant()
        try:
            answer = await self._ask(grant)
        except TokenError as error:
            grant, newer = await self._grant()
            # Another node may have been there meanwhile.
            if error.code != "invalid_grant" or newer == rotated:
                raise
            answer, rotated = await self._ask(grant), newer
        lives = float(answer.get("expires_in") or _USUAL_SECONDS)
        self._token = str(answer["access_token"])
        self._good_until = now + max(lives - _EARLY_SECONDS, lives / 2)
        new = answer.get("refresh_token")
        if rotated and new and new != rotated:
            await self._state.put(self._key, {"refresh_token": new})

    async def _grant(self) -> tuple[str, str]:
        """Return the body of the request, and the refresh token in it, if any."""
        from oauthlib import oauth2  # type: ignore[import-untyped] # noqa: PLC0415 (only with OAuth2)

        config = self._config
        facts: dict[str, str] = {}
        if config.client_secret:
            facts["client_secret"] = config.client_secret.get_secret_value()
        scope = config.scope.split() or None
        if config.refresh_token is None:
            client = oauth2.BackendApplicationClient(config.client_id)
            body = client.prepare_request_body(
                scope=scope, include_client_id=True, **facts
            )
            return str(body), ""
        kept = await self._state.get(self._key)
        current = (
            kept["refresh_token"] if kept else config.refresh_token.get_secret_value()
        )
        client = oauth2.Client(config.client_id)
        body = client.prepare_refresh_body(
            refresh_token=current, scope=scope, client_id=config.client_id, **facts
        )
        return str(body), str(current)

    @property
    def _state(self) -> PluginState:
        return self._wallet.state or self._context.state

    async def _ask(self, body: str) -> dict[str, Any]:
        """Return what the token endpoint answers.

        Raises:
            TokenError: that it gives none, why, and what to do about it.

        """
        from oauthlib import oauth2  # noqa: PLC0415 (only with OAuth2)

        host = urlsplit(self._config.token_url).hostname
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        try:
            async with self._context.http.post(
                self._config.token_url,
                data=body,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                text = await response.text(errors="replace")
                status = response.status
        except (aiohttp.ClientError, OSError) as error:
            said = f"{host}: {explain(error)}"
            raise TokenError("token_unreachable", said) from None
        try:
            found = oauth2.Client(self._config.client_id).parse_request_body_response(
                text
            )
        except oauth2.OAuth2Error as error:
            code = str(error.error or "unreadable")
            mend = _MEND.get(code, f"HTTP {status}: check token_url")
            raise TokenError(code, f"{host} gives no token: {mend}") from None
        except (ValueError, TypeError):
            said = f"{host} answers {status} without a token: check token_url"
            raise TokenError("unreadable", said) from None
        return dict(found)


def _account(config: OAuth2Config) -> str:
    """Name an account: another one for each refresh token that is configured."""
    first = config.refresh_token.get_secret_value() if config.refresh_token else ""
    parts = (config.token_url, config.client_id, first)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def xoauth2(user: str, token: str) -> str:
    """Return the initial response of XOAUTH2 (Google's and Microsoft's own)."""
    return _encoded(f"user={user}\x01auth=Bearer {token}\x01\x01")


def oauthbearer(user: str, host: str, port: int, token: str) -> str:
    """Return the initial response of OAUTHBEARER (RFC 7628 §3.1)."""
    name = user.replace("=", "=3D").replace(",", "=2C")
    where = f"host={host}\x01port={port}"
    return _encoded(f"n,a={name},\x01{where}\x01auth=Bearer {token}\x01\x01")


CANCEL = "AQ=="
"""What ends the exchange after OAUTHBEARER was refused (RFC 7628 §3.2.3)."""


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
