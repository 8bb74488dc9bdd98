"""Every fault of Meta's, at every stage, against a whole gateway: nothing is lost.

Three citizens write, two a text and one a photo; something goes wrong; once nothing is
left to do, the simulator's ledger and the database must agree on what `fault_ledger`
demands. A citizen gets a message twice only where nobody could have told that it had
been taken (``doubles``).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fault_ledger import complaints, doubles, rows, settle, wamids, watching
from gateway_whatsapp import WhatsAppChannel
from gateway_whatsapp.simulator import CloudApiSimulator, Fault, Statuses
from whatsapp_town import Town, answer, town_of

from gateway import receipts
from gateway.errors import StoreUnavailable
from gateway.store import schema
from gateway.store.migrate import upgrade

pytestmark = pytest.mark.long

PHOTO = Path(__file__).parents[3] / "tests" / "attachments" / "data" / "exif.jpg"
PEOPLE = ("393290000001", "393290000002", "393290000003")
GRACE = 1.0
"""Seconds that the gateway waits for a status before it sends again (else 60)."""
CHANNEL = "timeout = 0.3\nmessages_per_second = 1000"

Said = list[dict[str, Any]]
Arrival = Callable[[Town, Said], Awaitable[None]]


async def once(town: Town, said: Said) -> None:
    for payload in said:
        assert 200 == (await town.meta.webhook(payload))[0]


async def twice(town: Town, said: Said) -> None:
    await once(town, said)
    await once(town, said)


async def twice_at_once(town: Town, said: Said) -> None:
    answers = await asyncio.gather(*map(town.meta.webhook, [*said, *said]))
    assert {200} == {status for status, _ in answers}


async def backwards(town: Town, said: Said) -> None:
    await once(town, said[::-1])


async def in_one_body(town: Town, said: Said) -> None:
    assert 200 == (await town.meta.webhook(town.meta.batch(said)))[0]


async def twice_in_one_body(town: Town, said: Said) -> None:
    await in_one_body(town, [*said, *said])


async def batch_then_each(town: Town, said: Said) -> None:
    await in_one_body(town, said)
    await once(town, said)


async def cut_off_then_again(town: Town, said: Said) -> None:
    for payload in said:
        await town.meta.cut(payload)
    assert [] == await rows(town, schema.inbox)
    await asyncio.gather(*map(town.meta.deliver, said))


async def refused_then_again(town: Town, said: Said) -> None:
    with _without_database(town):
        answers = [await town.meta.webhook(payload) for payload in said]
    assert [503] * len(said) == [status for status, _ in answers]
    await asyncio.gather(*map(town.meta.deliver, said))


async def acknowledgement_lost(town: Town, said: Said) -> None:
    """Meta gives up before it has read our answer, and comes again."""
    for payload in said:
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            await asyncio.wait_for(town.meta.webhook(payload), 0.002)
    await asyncio.gather(*map(town.meta.deliver, said))


@contextlib.contextmanager
def _without_database(town: Town) -> Iterator[None]:
    async def refuse(*about: Any) -> int:
        raise StoreUnavailable("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(town.gateway.inbox), "accept", refuse)
        yield


@dataclass(frozen=True)
class Case:
    """A fault; ``photo`` says what becomes of the photo, ``state`` of the notices.

    ``doubles``: how often a citizen gets a message twice; ``failed``: how many messages
    Meta took and told to have failed, so that they are attempted anew.
    """

    name: str
    arrive: Arrival = once
    media: tuple[Fault, ...] = ()
    download: tuple[Fault, ...] = ()
    send: tuple[Fault, ...] = ()
    status: tuple[Statuses, ...] = ()
    gone: bool = False
    photo: str = "stored"
    state: str = "delivered"
    doubles: int = 0
    failed: int = 0


LATE, TOO_LATE = Statuses(seconds=0.5), Statuses(seconds=1.5 * GRACE)
NEVER = Statuses(order=())
SENDS = (
    ("time-out, not taken", Fault.timeout()),
    ("cut off, not taken", Fault.dropped()),
    ("502", Fault.http(502)),
    ("429", Fault.http(429)),
    ("too fast", Fault.error(130429)),
    ("unknown fault of Meta's", Fault.error(131000, status=500)),
    ("maintenance", Fault.error(131057, status=503)),
)
TAKEN = (
    ("time-out", Fault.timeout(accepted=True)),
    ("cut off", Fault.dropped(accepted=True)),
    ("504", Fault.http(504, accepted=True)),
)
DOWNLOADS = (
    ("time-out", Fault.timeout()),
    ("cut off at once", Fault.dropped()),
    ("cut off within", Fault.cut(100)),
    ("slowly", Fault.slow(0.1)),
    ("too slowly", Fault.slow(0.6)),
    ("other bytes", Fault.other_bytes()),
    ("503", Fault.http(503)),
    ("404", Fault.http(404)),
)
MEDIA = (
    ("time-out", Fault.timeout()),
    ("500", Fault.http(500)),
    ("429", Fault.http(429)),
    ("too many calls", Fault.error(4)),
    ("expired", Fault.expired()),
)
CASES = (
    Case("nothing"),
    *(
        Case(f"intake: {how.__name__}", arrive=how)
        for how in (
            twice,
            twice_at_once,
            backwards,
            in_one_body,
            twice_in_one_body,
            batch_then_each,
            cut_off_then_again,
            refused_then_again,
            acknowledgement_lost,
        )
    ),
    *(Case(f"media: {what}", media=(fault,)) for what, fault in MEDIA),
    Case("media: expired twice", media=(Fault.expired(), Fault.expired())),
    Case("media: gone for ever", gone=True, photo="lost"),
    *(Case(f"download: {what}", download=(fault,)) for what, fault in DOWNLOADS),
    *(Case(f"send: {what}", send=(fault,)) for what, fault in SENDS),
    Case(
        "send: three in a row", send=(Fault.http(502), Fault.dropped(), Fault.error(2))
    ),
    *(Case(f"send: {what}, taken", send=(fault,)) for what, fault in TAKEN),
    *(
        Case(f"send: {what}, taken, status within the grace", send=(f,), status=(LATE,))
        for what, f in TAKEN
    ),
    *(
        Case(
            f"send: {what}, taken, status never",
            send=(fault,),
            status=(NEVER,),
            doubles=1,
        )
        for what, fault in TAKEN
    ),
    Case(
        "send: two taken, one status in time",
        send=(Fault.timeout(accepted=True), Fault.dropped(accepted=True)),
        status=(NEVER,),
        doubles=1,
    ),
    Case(
        "send: taken, status too late",
        send=(Fault.dropped(accepted=True),),
        status=(TOO_LATE,),
        doubles=1,
    ),
    Case(
        "send: taken, status lost at first",
        send=(Fault.dropped(accepted=True),),
        status=(Statuses(lost=1),),
    ),
    Case("status: late", status=(Statuses(seconds=0.5),)),
    Case("status: each twice", status=(Statuses(times=2),)),
    Case("status: before the answer", status=(Statuses(early=True),)),
    Case("status: lost, then again", status=(Statuses(lost=2),)),
    Case("status: backwards", status=(Statuses(order=("delivered", "sent")),)),
    Case(
        "status: read before sent",
        status=(Statuses(order=("read", "sent", "delivered")),) * 3,
        state="read",
    ),
    Case(
        "status: read, early and twice",
        status=(Statuses(order=("read", "delivered", "sent"), early=True, times=2),)
        * 3,
        state="read",
    ),
    Case(
        "status: failed, then tried again",
        status=(Statuses(order=("failed",), code=131000),),
        failed=1,
    ),
    Case(
        "status: failed before the answer, then tried again",
        status=(Statuses(order=("failed",), code=131000, early=True),),
        failed=1,
    ),
    Case(
        "all at once",
        arrive=twice_at_once,
        media=(Fault.http(500), Fault.expired()),
        download=(Fault.cut(10),),
        send=(Fault.http(502), Fault.timeout(accepted=True), Fault.error(131000)),
        status=(Statuses(times=2, order=("delivered", "sent")),),
    ),
)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database: made once, it need not be made for each case."""
    path = tmp_path_factory.mktemp("migrated") / "gateway.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
async def town(
    sim: CloudApiSimulator,
    tmp_path: Path,
    migrated: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Town]:
    """A whole gateway that has no time to lose."""
    shutil.copy(migrated, tmp_path)
    monkeypatch.setenv("TOKEN", "the-token")
    monkeypatch.setenv("SECRET", "testappsecret")
    monkeypatch.setattr(WhatsAppChannel, "grace_seconds", GRACE)
    monkeypatch.setattr(receipts, "_FIRST_PAUSE", timedelta(seconds=0.2))
    async with town_of(sim, tmp_path, channel=CHANNEL, question="") as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_is_lost(town: Town, case: Case):
    """Stored once, handed over once, answered; twice only where nobody could know."""
    meta = town.meta
    photo = meta.add_media(PHOTO.read_bytes(), "image/jpeg")
    said = [meta.text(person, "C'è una buca") for person in PEOPLE[:2]]
    said.append(meta.image(PEOPLE[2], photo, "Eccola"))
    for stage in ("media", "download", "send", "status"):
        getattr(meta.faults, stage).extend(getattr(case, stage))
    if case.gone:
        meta.media.remove(photo)

    async with watching(town) as watch:
        await case.arrive(town, said)
        await settle(town, wamids(said))
        await watch.look()

    assert [] == await complaints(town, wamids(said))
    assert case.failed >= len(watch.gone_back()), watch.gone_back()
    assert case.doubles == doubles(meta, case.failed)
    [attachment] = await rows(town, schema.attachment)
    assert case.photo == attachment.state
    assert {case.state} == {
        row.state
        for row in await rows(town, schema.delivery)
        if row.target == "channel:whatsapp"
    }
    for stage in ("media", "download", "send", "status"):
        assert not getattr(meta.faults, stage), f"{stage}: no request met its fault"


UPLOADS = {
    "nothing": (),
    "time-out": (Fault.timeout(),),
    "time-out, kept": (Fault.timeout(accepted=True),),
    "cut off": (Fault.dropped(),),
    "500": (Fault.http(500),),
    "429": (Fault.http(429),),
    "busy": (Fault.error(131016, status=503),),
    "three in a row": (Fault.http(502), Fault.dropped(), Fault.error(131000)),
    "not taken": (Fault.error(131053),),
}


@pytest.mark.parametrize("faults", UPLOADS.values(), ids=UPLOADS)
async def test_no_answer_is_lost(town: Town, faults: tuple[Fault, ...]):
    """Text and photo of an answer arrive once; what Meta does not take, staff see."""
    meta = town.meta
    said = [meta.text(PEOPLE[0], "C'è una buca")]
    await once(town, said)
    handover = await town.handed()
    await settle(town, wamids(said))
    meta.faults.upload.extend(faults)
    town.offices.files["a"] = PHOTO.read_bytes()
    await answer(town.gateway, handover, "Riparata", files=["a"])
    await meta.wait_sent(2)
    await settle(town, wamids(said))

    refused = 131053 in {fault.code for fault in faults}
    answers = [(sent.type, sent.text.split("\n")[-1]) for sent in meta.sent[1:]]
    expected = [("text", "Riparata"), ("image", "")]
    assert expected[: 1 if refused else 2] == answers
    dead = [row.code for row in await rows(town, schema.dead_letter)]
    assert ["131053"] * refused == dead
    assert 0 == doubles(meta)
    assert not meta.faults.upload
