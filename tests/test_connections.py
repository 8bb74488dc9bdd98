"""What is said when a host can't be reached."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.test_utils import TestServer, unused_port

from gateway.connections import explain


def caused(error: BaseException, cause: BaseException) -> BaseException:
    """Return an error as libraries wrap it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(-2, "Name or service not known"), "name is not known"),
        (ConnectionRefusedError(111, "x"), "nothing listens there"),
        (ConnectionResetError(104, "x"), "it hangs up"),
        (TimeoutError(), "no answer in time"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to it"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "does not speak TLS"),
        (ssl.SSLCertVerificationError(1, "x"), "certificate won't do (not trusted)"),
        (caused(RuntimeError("x"), ConnectionRefusedError()), "nothing listens"),
        (ValueError("a secret"), "ValueError"),
    ],
    ids=str,
)
def test_words_name_what_to_check(error, text):
    """Each cause has words of its own; nothing of the error's text is quoted."""
    told = explain(error)

    assert text in told
    assert "secret" not in told


def test_circle_of_causes_ends():
    """Errors that name each other are walked once."""
    one, two = RuntimeError(), RuntimeError()
    one.__cause__, two.__cause__ = two, one

    assert "RuntimeError" == explain(one)


async def failure(url: str, seconds: float = 5) -> BaseException:
    """Return what the gateway's client raises."""
    async with aiohttp.ClientSession() as http:
        try:
            await http.get(url, timeout=aiohttp.ClientTimeout(total=seconds))
        except (aiohttp.ClientError, TimeoutError) as error:
            return error
    raise AssertionError


async def test_nobody_listens():
    """A refused connection, through the real client."""
    error = await failure(f"http://127.0.0.1:{unused_port()}/")

    assert "nothing listens there" in explain(error)


async def test_no_such_name():
    """A name that DNS does not know, through the real client."""
    assert "name is not known" in explain(await failure("http://no-such.invalid/"))


async def test_no_tls():
    """TLS with a server that has none, through the real client."""
    async with TestServer(aiohttp.web.Application()) as server:
        error = await failure(f"https://127.0.0.1:{server.port}/")

    assert "does not speak TLS" in explain(error)


async def test_silence():
    """A server that takes the request and says nothing in time."""
    done = asyncio.Event()

    async def silent(request):
        await done.wait()
        return aiohttp.web.Response()

    app = aiohttp.web.Application()
    app.router.add_get("/", silent)
    async with TestServer(app) as server:
        error = await failure(str(server.make_url("/")), seconds=0.2)
        done.set()

    assert "no answer in time" in explain(error)
