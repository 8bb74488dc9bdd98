"""Whatever is sent to the city's app: an answer of GeoReport, and never a fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest
from aiohttp.test_utils import TestServer
from app_town import KEY, REPORT
from defusedxml.ElementTree import fromstring
from gateway_delivery import Open311Channel, Open311ServerConfig
from gateway_delivery.open311_server.rendering import Document, to_xml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from gateway.metrics import Metrics
from gateway.model import ChannelId, Inbound, InboxId, ItemKind, Original
from gateway.testing.kit import Accepted, RecordingIntake, make_context
from gateway.web import Ops, make_app

APP = ChannelId("app")
MOMENT = datetime(2026, 3, 29, tzinfo=UTC)
NAMES = st.sampled_from(
    [*REPORT, "api_key", "jurisdiction_id", "address_string", "email"]
)
VALUES = st.one_of(
    st.text(max_size=50),
    st.floats().map(str),
    st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    st.sampled_from(
        [KEY, "001", "open", "9999-12-31T23:59:59-14:00", "0001-01-01T00Z"]
    ),
)
FORMS = st.dictionaries(st.one_of(NAMES, st.text(max_size=20)), VALUES, max_size=8)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["service_request_id", "service_code", "start_date", "end_date", "status"]
    ),
    VALUES,
)
PATHS = st.one_of(
    st.sampled_from(["requests", "services", "discovery", "services/001"]),
    st.tuples(
        st.sampled_from(["requests/", "tokens/", "services/"]),
        st.text(min_size=1, max_size=30).map(lambda text: quote(text, safe="")),
    ).map("".join),
)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, aiohttp.ClientSession, Open311Channel]]:
    """Serve the channel alone, over a real socket."""
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        config = Open311ServerConfig(
            api_keys=[SecretStr(KEY)],
            services=[{"code": "001", "name": "Buche", "service": "strade"}],
            publish=True,
        )
        channel = Open311Channel(APP, config, make_context(http))
        routes = [(APP, route) for route in channel.routes()]
        app = make_app(routes, OPS, Metrics(), max_body_bytes=1 << 20)
        async with TestServer(app) as server:
            yield f"{server.make_url('/channels/app')}", http, channel


def play(body: object) -> None:
    """Run a story against the channel."""

    async def run() -> None:
        async with serving() as (url, http, channel):
            await body(url, http, channel)

    asyncio.run(run())


async def _nothing() -> None:
    """Stand for what the operators ask."""


OPS = Ops(readiness=_nothing, refresh_metrics=_nothing)


def encoded(form: dict[str, str]) -> bytes:
    """Return a form as it is posted; now and then one that is nearly right."""
    return urlencode(form, errors="surrogatepass").encode()


NEARLY = FORMS.map(lambda form: {**REPORT, "api_key": KEY, **form})
BODIES = st.one_of(FORMS.map(encoded), NEARLY.map(encoded), st.binary(max_size=200))


def inbound(each: Accepted) -> Inbound:
    """Return what was accepted as it is read later on."""
    (item,) = each.items
    original = Original(
        id="o", channel=APP, body=each.body, headers={}, received_at=MOMENT
    )
    return Inbound(
        id=InboxId("i"),
        channel=APP,
        external_id=item.external_id,
        kind=ItemKind.MESSAGE,
        part="",
        sender=item.sender,
        original=original,
    )


@given(st.lists(BODIES, max_size=8))
@settings(max_examples=25)
def test_any_form_is_accepted_or_refused(bodies):
    """201 if it was stored, and can be read; else 4xx with the list of errors."""

    async def story(url, http, channel):
        inbox: RecordingIntake = channel.context.inbox
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in bodies:
            before = len(inbox.accepted)
            async with http.post(f"{url}/requests.xml", data=body, headers=kind) as a:
                answer, root = a, fromstring(await a.read())
            stored = inbox.accepted[before:]
            assert (1 if answer.status == 201 else 0) == len(stored)
            assert answer.status == 201 or 400 <= answer.status < 500
            assert ("service_requests" if stored else "errors") == root.tag
            for each in stored:
                assert channel.parse(inbound(each)).text

    play(story)


@given(st.lists(st.tuples(PATHS, QUERIES, st.sampled_from([KEY, "", "x"])), max_size=8))
@settings(max_examples=25)
def test_any_question_is_answered(questions):
    """A list, or 4xx with the list of errors."""

    async def story(url, http, channel):
        for path, query, key in questions:
            given_key = {"api_key": key} if key else {}
            params = encoded(query | given_key).decode()
            asked = URL(f"{url}/{path}.json?{params}", encoded=True)
            async with http.get(asked) as answer:
                body = await answer.read()
            assert answer.status == 200 or 400 <= answer.status < 500
            if answer.content_type == "application/json":
                assert orjson.loads(body) is not None

    play(story)


@given(st.text())
def test_any_text_can_be_said_in_xml(text):
    """What XML can't say is replaced; the rest arrives."""
    (value,) = fromstring(to_xml(Document("errors", [{"description": text}])))[0]

    assert len(text) == len(value.text or "") or "\r" in text


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data; boundary=x", "text/xml"]
)
def test_other_bodies_are_refused(kind):
    """The specification has forms only; XML from outside is never parsed."""

    async def story(url, http, channel):
        headers = {"Content-Type": kind}
        async with http.post(
            f"{url}/requests.json", data=b"<x/>", headers=headers
        ) as a:
            assert 400 == a.status
            assert "x-www-form" in (await a.text())
        assert [] == channel.context.inbox.accepted

    play(story)
