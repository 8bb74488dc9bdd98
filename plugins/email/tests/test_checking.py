"""What `gateway check` finds: asked of servers, with nothing sent or changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from gateway_email import EmailConnector, EmailConnectorConfig, EmailPlugin
from gateway_email.checking import check_mailbox, check_reply_to, check_submission
from gateway_email.folder_list import folder_names
from gateway_email.imap import open_mailbox
from smtp_servers import serving

from gateway.model import HealthStatus, ServiceId

MAX = 18_000_000
NEEDED = 24_631_579


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([rb'(\HasNoChildren) "/" "INBOX"', b"done"], ["INBOX"]),
        ([rb'() "." INBOX.Entw&APw-rfe'], ["INBOX.Entwürfe"]),
        ([rb'(\Noselect) "/" "Public"', rb'() "/" a'], ["a"]),
        ([rb'() "/" {9}', bytearray(b'con "due"'), b"", b"ok"], ['con "due"']),
        ([rb"() NIL 2026"], ["2026"]),
        ([b"(", b"()", b"List completed.", b""], []),
    ],
)
def test_folders_are_read_as_servers_write_them(lines, names):
    """Quoted, plain, as a literal, in UTF-7; what holds no mail is left out."""
    assert names == folder_names(lines)


@pytest.mark.parametrize(
    ("says", "status"),
    [
        (f"250 SIZE {NEEDED}", HealthStatus.OK),
        (f"250 SIZE {NEEDED - 1}", HealthStatus.DEGRADED),
        ("250 SIZE 0", HealthStatus.OK),  # no fixed limit (RFC 1870 §4)
        ("250 SIZE", HealthStatus.OK),
        ("250 SIZE much", HealthStatus.OK),
        ("250 DSN", HealthStatus.OK),
    ],
)
async def test_servers_size_is_compared_with_ours(settings, says, status):
    """What would be refused later is told before, with the largest value that goes."""
    got = []

    async def serve(reader: Any, writer: Any) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper()
            got.append(verb.decode())
            hello = f"250-hi\r\n{says}\r\n" if verb == b"EHLO" else "250 OK\r\n"
            writer.write(hello.encode())

    async with serving(serve) as port:
        health = await check_submission(settings(port=port, max_bytes=MAX), None)

    assert status is health.status
    assert {"EHLO", "NOOP", "QUIT"} >= set(got)
    if status is HealthStatus.DEGRADED:
        assert "set max_bytes to 17999999 at most" in health.text


@pytest.mark.parametrize(
    ("accounts", "status"),
    [
        ({"urp@comune.test"}, HealthStatus.OK),
        ({"posta", "URP"}, HealthStatus.OK),
        ({"posta@comune.test"}, HealthStatus.DEGRADED),
        (set(), HealthStatus.DEGRADED),
    ],
)
def test_answers_must_come_to_a_mailbox_that_is_read(settings, accounts, status):
    """The account's name is the address or its local part; else somebody must look."""
    health = check_reply_to(settings(), accounts)

    assert status is health.status
    assert (status is HealthStatus.OK) is ("urp@comune.test" not in health.text)


def test_plugin_tells_its_parts_what_is_read(channel, context):
    """Connectors and channels know of all mailboxes, whichever came first."""
    plugin = EmailPlugin()
    mailbox, _ = plugin.register_channels()
    office, _ = plugin.register_connectors()
    first = mailbox.factory("a", channel(username="posta").config, context())
    second = mailbox.factory("b", channel(username="urp").config, context())
    config = EmailConnectorConfig(to=["strade@comune.test"])
    third = office.factory(ServiceId("strade"), config, context())

    assert {"posta", "urp"} == first.accounts == second.accounts == third.accounts


async def test_connector_without_any_mailbox_says_so(server, context):
    """Offices could answer, and nobody would read it."""
    config = EmailConnectorConfig(to=["strade@comune.test"])
    office = EmailConnector(ServiceId("s"), config, context(port=server.smtp_port))
    office.accounts = set()
    health = await office.check()

    assert HealthStatus.DEGRADED is health.status
    assert "of mailboxes none is read" in health.text


async def test_dovecots_folders_are_named(
    mail_server: Any, channel: Callable[..., Any]
):
    """A real server's folders, also with an umlaut; the check makes none."""
    name = f"Città-{uuid4().hex[:6]}"
    made = channel(
        host=mail_server.host,
        port=mail_server.imap_port,
        security="tls",
        cafile=mail_server.cafile,
        username="cittadino@comune.test",
        password=mail_server.password,
        done_folder=name,
        folders=["Niente"],
    ).config
    before = await check_mailbox(made, None)
    async with open_mailbox(made, "") as mailbox:
        await mailbox.make_done_folder()
    after = await check_mailbox(made, None)

    assert name not in before.text
    assert f"no folder Niente on the server; there are: {name}" in after.text
    assert "INBOX" in after.text
    assert HealthStatus.DOWN is after.status
