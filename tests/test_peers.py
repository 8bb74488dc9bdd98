"""The real peers do what the other tests rely on; a missing one is said aloud."""

from __future__ import annotations

import imaplib
import os
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[1]


def _mail(recipient: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "cittadino@comune.test"
    mail["To"] = recipient
    mail["Message-ID"] = f"<{uuid.uuid4()}@comune.test>"
    mail.set_content("Buongiorno")
    return mail


def _trusting(peer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=peer.cafile)


def _submit(peer, mail: EmailMessage, password: str) -> None:
    with smtplib.SMTP(peer.host, peer.submission_port, timeout=10) as smtp:
        smtp.starttls(context=_trusting(peer))
        smtp.login("cittadino@comune.test", password)
        smtp.send_message(mail)


@contextmanager
def _inbox(peer, user: str) -> Iterator[imaplib.IMAP4_SSL]:
    imap = imaplib.IMAP4_SSL(
        peer.host, peer.imap_port, ssl_context=_trusting(peer), timeout=10
    )
    with imap:
        imap.login(user, peer.password)
        imap.select("INBOX")
        yield imap


def _arrives(peer, user: str, mail: EmailMessage) -> bool:
    """Ask until the mail is in the user's INBOX, for 20 s at most."""
    until = time.monotonic() + 20
    with _inbox(peer, user) as imap:
        while time.monotonic() < until:
            imap.noop()
            _, found = imap.search(None, "HEADER", "Message-ID", mail["Message-ID"])
            if found[0]:
                return True
            time.sleep(0.05)
    return False


def test_each_database_is_empty_and_its_own(postgresql: str):
    """A test gets a database of its own, in UTF-8."""
    with psycopg.connect(postgresql) as connection:
        one = connection.execute("SELECT 1").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        encoding = connection.execute("SHOW server_encoding").fetchone()

    assert ((1,), (0,), ("UTF8",)) == (one, tables, encoding)


@pytest.mark.parametrize("detail", ["", "+abc", "+c-7f3a.2"])
def test_mail_with_any_detail_reaches_the_mailbox(mail_server, detail: str):
    """``urp+token@`` is urp's: submitted with a password, read over TLS."""
    mail = _mail(f"urp{detail}@comune.test")

    _submit(mail_server, mail, mail_server.password)

    assert _arrives(mail_server, "urp@comune.test", mail)


def test_submission_is_refused_without_the_right_password(mail_server):
    """Nobody sends by guessing."""
    with pytest.raises(smtplib.SMTPAuthenticationError):
        _submit(mail_server, _mail("urp@comune.test"), "wrong")


def test_submission_over_tls_from_the_start(mail_server):
    """The other way to submit (RFC 8314) reaches the mailbox, too."""
    mail = _mail("strade@comune.test")
    with smtplib.SMTP_SSL(
        mail_server.host,
        mail_server.submission_tls_port,
        context=_trusting(mail_server),
        timeout=10,
    ) as smtp:
        smtp.login("cittadino@comune.test", mail_server.password)
        smtp.send_message(mail)

    assert _arrives(mail_server, "strade@comune.test", mail)


def test_inbound_smtp_takes_our_domain_only(mail_server):
    """As a city's mail exchanger: our people without a password, nobody else."""
    refused = {}
    mail = _mail("rifiuti@comune.test")
    with smtplib.SMTP(mail_server.host, mail_server.smtp_port, timeout=10) as smtp:
        smtp.send_message(mail)
        for stranger in ("nobody@comune.test", "a@elsewhere.test"):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
                smtp.send_message(_mail(stranger))
            refused |= error.value.recipients

    assert {"nobody@comune.test": 550, "a@elsewhere.test": 554} == {
        address: code for address, (code, _) in refused.items()
    }
    assert _arrives(mail_server, "rifiuti@comune.test", mail)


def test_imap_with_starttls(mail_server):
    """The plain port can be secured before the password goes."""
    imap = imaplib.IMAP4(mail_server.host, mail_server.imap_starttls_port, timeout=10)
    with imap:
        assert "OK" == imap.starttls(_trusting(mail_server))[0]
        assert "OK" == imap.login("urp@comune.test", mail_server.password)[0]


def test_peers_listen_on_loopback_only(mail_server, postgresql_port: int):
    """No test server is open to the network."""
    ports = {
        mail_server.imap_port,
        mail_server.imap_starttls_port,
        mail_server.smtp_port,
        mail_server.submission_port,
        mail_server.submission_tls_port,
        postgresql_port,
    }
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [line.split()[1].split(":") for line in lines if " 0A " in line]
    addresses = {
        socket.inet_ntoa(bytes.fromhex(address)[::-1])
        for address, port in listening
        if int(port, 16) in ports
    }

    assert {"127.0.0.1"} == addresses


def _run_pytest(folder: Path, body: str, *, required: bool) -> tuple[int, str]:
    """Run a test file of its own under the project's conftest."""
    (folder / "test_sample.py").write_text(body)
    options = ["-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", folder, folder],
        env=os.environ
        | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(ROOT),
            "REQUIRE_PEERS": "1" if required else "0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


NO_POSTGRESQL = """
import conftest
conftest.POSTGRESQL = conftest.Path("/nowhere")

def test_sample(postgresql):
    pass
"""
SKIPPED = """
import pytest

def test_sample():
    pytest.skip("just so")
"""


def test_missing_peer_is_named(tmp_path: Path):
    """Without the peer the test is skipped, and the end of the run says so."""
    code, output = _run_pytest(tmp_path, NO_POSTGRESQL, required=False)

    assert 0 == code
    assert "NOT TESTED AGAINST: PostgreSQL (not installed)" in output


def test_missing_peer_fails_where_required(tmp_path: Path):
    """CI doesn't pass without its peers."""
    code, output = _run_pytest(tmp_path, NO_POSTGRESQL, required=True)

    assert 1 == code
    assert "PostgreSQL is required (REQUIRE_PEERS=1): not installed" in output


def test_any_skip_fails_where_peers_are_required(tmp_path: Path):
    """CI notices every skip, whatever its reason; elsewhere it is no failure."""
    (code, output) = _run_pytest(tmp_path, SKIPPED, required=True)

    assert 1 == code
    assert "failed, because 1 skipped" in output
    assert 0 == _run_pytest(tmp_path, SKIPPED, required=False)[0]
