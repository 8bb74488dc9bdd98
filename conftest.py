"""The real peers of the tests, started once a session; what is missing is said aloud.

With REQUIRE_PEERS=1 (CI) a missing peer fails its tests, and so does any skip.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import structlog
from hypothesis import settings

SCRIPTS = Path(__file__).parent / "scripts" / "peers"
POSTGRESQL = Path("/usr/lib/postgresql")
MAIL = (Path("/usr/sbin/dovecot"), Path("/usr/sbin/postfix"))
# Below the ports that the kernel gives to outgoing connections (32768 and up).
PORTS = range(20_000, 32_000)
# How long an example takes says more about the machine than about the code.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
REQUIRED = os.environ.get("REQUIRE_PEERS") == "1"
MISSING = pytest.StashKey[set[str]]()
_MISSING_OUTPUT = "missing_peers"


@pytest.fixture(autouse=True)
def log_configuration() -> Iterator[None]:
    """What a test makes of the logs ends with it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def _missing(config: pytest.Config, peer: str, why: str) -> NoReturn:
    """Fail where peers are required; elsewhere skip, and remember to say so."""
    if REQUIRED:
        pytest.fail(f"{peer} is required (REQUIRE_PEERS=1): {why}", pytrace=False)
    config.stash.setdefault(MISSING, set()).add(f"{peer} ({why})")
    pytest.skip(f"{peer}: {why}")


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=60)


@contextmanager
def _started(script: str, folder: Path, port: int) -> Iterator[None]:
    """Run a peer; one that came up by half is stopped too."""
    try:
        _run(SCRIPTS / script, "start", folder, str(port))
        yield
    finally:
        _run(SCRIPTS / script, "stop", folder)


def free_port(count: int = 1) -> int:
    """Return the first of ``count`` adjacent ports that are free now."""
    while True:
        first = secrets.choice(PORTS)
        if all(_is_free(first + offset) for offset in range(count)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port of which only old connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def peers_folder() -> Iterator[Path]:
    """A folder that an unprivileged peer can reach (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-peers-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_port(
    request: pytest.FixtureRequest, peers_folder: Path
) -> Iterator[int]:
    """A PostgreSQL server; its port."""
    if not list(POSTGRESQL.glob("*/bin/initdb")):
        _missing(request.config, "PostgreSQL", "not installed")
    port = free_port()
    with _started("postgresql.sh", peers_folder / "postgresql", port):
        yield port


@pytest.fixture
def postgresql(postgresql_port: int) -> Iterator[str]:
    """The URL of a database of the test's own."""
    name = f"gateway_{os.urandom(6).hex()}"
    admin = f"postgresql://gateway@127.0.0.1:{postgresql_port}/postgres"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type] # name is ours
    yield f"postgresql://gateway@127.0.0.1:{postgresql_port}/{name}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type] # as above


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Dovecot and Postfix for comune.test: urp, strade, rifiuti, cittadino.

    What is submitted to ``pec_submission_port`` is handed to ``pec_provider_port``,
    where a test has to listen.
    """

    host: str
    imap_starttls_port: int
    imap_port: int
    submission_port: int
    submission_tls_port: int
    smtp_port: int
    pec_submission_port: int
    pec_provider_port: int
    introspection_port: int
    cafile: Path
    users: tuple[str, ...] = tuple(
        f"{name}@comune.test" for name in ("urp", "strade", "rifiuti", "cittadino")
    )
    password: str = "segreta"


@pytest.fixture(scope="session")
def mail_server(
    request: pytest.FixtureRequest, peers_folder: Path
) -> Iterator[MailServer]:
    """Real IMAP and SMTP servers."""
    if not all(program.exists() for program in MAIL):
        _missing(request.config, "Dovecot and Postfix", "not installed")
    if os.geteuid() != 0:
        _missing(request.config, "Dovecot and Postfix", "Postfix needs root")
    folder, port = peers_folder / "mail", free_port(10)
    with _started("mail.sh", folder, port):
        yield MailServer(
            host="localhost",
            imap_starttls_port=port,
            imap_port=port + 1,
            submission_port=port + 2,
            submission_tls_port=port + 3,
            smtp_port=port + 4,
            pec_submission_port=port + 7,
            pec_provider_port=port + 8,
            introspection_port=port + 9,
            cafile=folder / "tls" / "cert.pem",
        )


PEERS = {"postgresql", "postgresql_port", "mail_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that talk to a real peer; those that take long go first.

    Side by side, the others fill the time that they take.
    """
    for item in items:
        if PEERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.peer)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which peers were missing, and which run fails for a skip."""
    for peer in sorted(config.stash.get(MISSING, set())):
        terminalreporter.write_line(f"NOT TESTED AGAINST: {peer}", yellow=True)
    skipped = terminalreporter.stats.get("skipped")
    if REQUIRED and skipped:
        terminalreporter.write_line(
            f"REQUIRE_PEERS=1: failed, because {len(skipped)} skipped", red=True
        )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist missed."""
    missing = getattr(node, "workeroutput", {}).get(_MISSING_OUTPUT, ())
    node.config.stash.setdefault(MISSING, set()).update(missing)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where peers are required, a skipped test is a failed run."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_MISSING_OUTPUT] = sorted(session.config.stash.get(MISSING, set()))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if REQUIRED and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
