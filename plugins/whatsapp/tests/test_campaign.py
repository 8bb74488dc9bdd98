"""A campaign through Meta, and the answers that pass it."""

from __future__ import annotations

import pytest
from whatsapp_town import town_of

from gateway.campaigns import Campaign, announce, find_readers
from gateway.model import ChannelId

NOTICES = 200
LATEST = 25
"""Messages that may go out between a citizen's report and its notice: eight are under
way, and others become due at the same moment."""


@pytest.mark.usefixtures("secrets")
async def test_live_answers_pass_a_campaign(sim, tmp_path):
    """While notices go out as fast as Meta allows, who writes reads the number soon."""
    channel = "messages_per_second = 100"
    sim.statuses = ()
    async with town_of(sim, tmp_path, channel=channel, question="") as town:
        people = [f"39320{n:06}" for n in range(NOTICES)]
        for person in people:
            await town.say(sim.text(person, "una buca"))
        await sim.wait_sent(NOTICES, timeout=30)
        await town.until(lambda: len(town.offices.got) == NOTICES)
        await announced(town.gateway, people)
        waits = []
        for person in ("393330000001", people[-1], "393330000002"):
            await sim.wait_sent(len(sim.sent) + 20)
            before = len(sim.sent)
            said = sim.text(person, "C'è un lampione rotto")
            wamid = said["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
            await town.say(said)
            if person in people:
                continue  # joins their open case: nothing is said
            await town.until(lambda w=wamid: w in {s.context_id for s in sim.sent})
            place = [s.context_id for s in sim.sent].index(wamid)
            waits.append(place - before)

        assert all(wait <= LATEST for wait in waits), waits
        await sim.wait_sent(2 * NOTICES + 2, timeout=30)
        got = [s.to for s in sim.sent if s.text == "Domani mercato chiuso"]
        assert sorted(f"IT.{person}" for person in people) == sorted(got)


async def announced(gateway, people: list[str]) -> None:
    """Announce a notice as the command line does."""
    channel = ChannelId("whatsapp")
    made = Campaign(channel=channel, text="Domani mercato chiuso")
    uris = [f"whatsapp:{person}" for person in people]
    readers = await gateway.store.read(lambda c: find_readers(c, channel, uris))
    await gateway.store.run(
        lambda c: announce(c, made, readers.conversations, before=0, actor="test")
    )
