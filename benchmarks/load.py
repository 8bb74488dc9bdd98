"""The load: different signed WhatsApp texts, sent by wrk."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
from gateway_whatsapp.signature import sign
from processes import HERE, ROOT

SECRET = "benchmark"  # noqa: S105 (of the load)
NUMBER = "106540352242922"
FIXTURE = "plugins/whatsapp/tests/fixtures/inbound/meta__text_message.json"
CONNECTIONS = 64
TEXTS = (
    "Buongiorno, c'è una buca pericolosa in via Dante davanti al numero 12",
    "Il cassonetto di piazza Verdi è pieno da tre giorni, potete svuotarlo?",
    "Vorrei sapere gli orari dell'anagrafe per rinnovare la carta d'identità",
    "Un lampione di viale Europa è spento da una settimana, grazie",
)


def webhooks(count: int, first: int = 0) -> Iterator[bytes]:
    """Return Meta's text webhook again and again, each from somebody, with an id."""
    body = orjson.loads((ROOT / FIXTURE).read_bytes())
    value = body["entry"][0]["changes"][0]["value"]
    value["metadata"]["phone_number_id"] = NUMBER
    message, contact = value["messages"][0], value["contacts"][0]
    for n in range(first, first + count):
        person = f"39333{n % 20_000:07}"
        contact["wa_id"] = message["from"] = person
        if "user_id" in contact:
            contact["user_id"] = message["from_user_id"] = f"IT.{person}"
        message["id"] = wamid(person, n)
        message["text"]["body"] = f"{TEXTS[n % len(TEXTS)]} ({n})"
        yield orjson.dumps(body)


def wamid(person: str, number: int) -> str:
    """Return an id as Meta makes them: the person first, then what nobody can guess."""
    noise = hashlib.sha256(str(number).encode()).hexdigest()[:20].upper()
    packed = b"\x1c\x18\x0c%b\x15\x02\x00\x12\x18\x14%b\x00"
    told = packed % (person.encode(), noise.encode())
    return f"wamid.{base64.urlsafe_b64encode(told).decode()}"


def write_load(path: Path, count: int) -> Path:
    """Write ``count`` webhooks with their signatures, a line each."""
    with path.open("wb") as file:
        for body in webhooks(count):
            file.write(sign(body, SECRET.encode()).encode() + b"\t" + body + b"\n")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What wrk measured; latencies in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float


def wrk(url: str, load: Path, seconds: float) -> Loaded:
    """Send ``load`` again and again for ``seconds``.

    Raises:
        RuntimeError: wrk is missing, or a request was not answered 2xx.

    """
    output = _wrk(url, load, f"{seconds:g}s", most=0)
    line = next(x for x in output.splitlines() if x.startswith("RESULT"))
    requests, microseconds, p50, p99, errors = line.split()[1:]
    if int(errors):
        raise RuntimeError(f"{errors} of {requests} requests to {url} failed")
    return Loaded(
        requests=int(requests),
        per_second=int(requests) / (int(microseconds) / 1e6),
        p50=float(p50),
        p99=float(p99),
    )


def wrk_once(url: str, load: Path, most: int) -> None:
    """Send the first ``most`` of ``load``, and a few again.

    Raises:
        RuntimeError: wrk is missing.
        subprocess.CalledProcessError: a request was not answered 200.

    """
    _wrk(url, load, "600s", most)


def _wrk(url: str, load: Path, duration: str, most: int) -> str:
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is missing: apt-get install wrk")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}", "--timeout", "60s"]
    return subprocess.run(
        [*command, "-s", HERE / "load.lua", url],
        env={**os.environ, "LOAD": str(load), "MOST": str(most)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
