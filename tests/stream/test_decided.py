"""What there is to learn from: cases of which people have shown whose they are."""

from __future__ import annotations

from small_city import City, small_city

from gateway.decided import decided

URP = "urp@office"


async def reported(city: City, sender: str, text: str) -> str:
    """Let somebody report something to the URP; return the delivery's id."""
    await city.say(sender=sender, text=text)
    await city.settle()
    return f"<{city.outside.handovers[-1].delivery_id}@office>"


async def learnt(city: City) -> list[tuple[str, str]]:
    """Return service and text of each decided case."""
    store = city.gateway.store
    return [(each.service, each.text) for each in await store.read(decided)]


async def test_only_what_people_have_decided(tmp_path, url):
    """Answered, closed, forwarded: the last word counts; what just waits does not."""
    async with small_city(tmp_path, url=url) as city:
        await reported(city, "carla", "nessuno ha letto")
        answered = await reported(city, "anna", "orari dell'ufficio?")
        await city.say(sender="anna", text="anche il sabato?")
        await city.settle()
        await city.say(sender=URP, text="Sì, alle 9.", references=[answered])
        forwarded = await reported(city, "bruno", "una buca")
        note = "inoltrato a Strade\nÈ vostra."
        await city.say(sender=URP, text=note, references=[forwarded])
        await city.settle()

        assert [
            ("urp", "orari dell'ufficio?\nanche il sabato?"),
            ("strade", "una buca"),
        ] == await learnt(city)


async def test_what_a_case_began_with(tmp_path, url):
    """As it was routed, with its attachments; what was said later is in the text."""
    async with small_city(tmp_path, url=url) as city:
        city.outside.files["f1"] = [b"x"]
        await city.say(sender="anna", text="una buca", files=["f1"])
        await city.settle()
        delivery = f"<{city.outside.handovers[-1].delivery_id}@office>"
        await city.say(sender="anna", text="è grande")
        await city.settle()
        await city.say(sender=URP, text="Grazie.", references=[delivery])
        await city.settle()
        [found] = await city.gateway.store.read(decided)

    assert ("una buca\nè grande", "una buca") == (found.text, found.message.text)
    assert 1 == len(found.message.attachments)
    assert "phone" == found.message.channel
