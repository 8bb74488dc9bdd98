"""What the simulator takes, and what it refuses with which of Meta's codes."""

from __future__ import annotations

import copy

import pytest

TO = "393290000000"
WHOLE = {"messaging_product": "whatsapp", "to": TO}


def rows(count: int, first: int = 0) -> list[dict]:
    return [{"id": f"r{n}", "title": f"Riga {n}"} for n in range(first, first + count)]


def menu(sections=None, **changes) -> dict:
    """Return a list; changes are of the object ``interactive``."""
    action = {"button": "Scegli", "sections": sections or [{"rows": rows(2)}]}
    said = {"type": "list", "body": {"text": "Che cosa?"}, "action": action, **changes}
    return {**WHOLE, "type": "interactive", "interactive": said}


def buttons(replies=None, **changes) -> dict:
    """Return buttons; changes are of the object ``interactive``."""
    replies = [{"id": "a", "title": "Sì"}] if replies is None else replies
    action = {"buttons": [{"type": "reply", "reply": reply} for reply in replies]}
    said = {"type": "button", "body": {"text": "Così?"}, "action": action, **changes}
    return {**WHOLE, "type": "interactive", "interactive": said}


def special(kind: str, action: dict, **changes) -> dict:
    said = {"type": kind, "body": {"text": "Ecco"}, "action": action, **changes}
    return {**WHOLE, "type": "interactive", "interactive": said}


def place(**changes) -> dict:
    where = {"latitude": 39.2, "longitude": 9.1, **changes}
    return {**WHOLE, "type": "location", "location": where}


def contact(**changes) -> dict:
    name = {"formatted_name": "Maria Deiana", "first_name": "Maria"}
    return {**WHOLE, "type": "contacts", "contacts": [{"name": name, **changes}]}


def reaction(**changes) -> dict:
    said = {"message_id": "wamid.abc", "emoji": "x", **changes}
    return {**WHOLE, "type": "reaction", "reaction": said}


def without(body: dict, *path: str) -> dict:
    """Return the body without one of its keys."""
    body = copy.deepcopy(body)
    part = body
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return body


TITLED = {"title": "Temi", "rows": rows(5)}
HEADER = {"type": "text", "text": "Comune"}

TAKEN = {
    "list": menu(),
    "list with all": menu(
        [TITLED, {"title": "Altro", "rows": rows(5, 5)}],
        header=HEADER,
        footer={"text": "Grazie"},
        body={"text": "x" * 4096},
    ),
    "longest row": menu(
        [{"rows": [{"id": "i" * 200, "title": "t" * 24, "description": "d" * 72}]}]
    ),
    "buttons": buttons(),
    "three buttons": buttons(
        [{"id": str(n), "title": "t" * 19 + str(n)} for n in "123"]
    ),
    "button with text above": buttons(header=HEADER, footer={"text": "x" * 60}),
    "button with image above": buttons(
        header={"type": "image", "image": {"link": "https://comune.test/a.png"}}
    ),
    "link": special("cta_url", {"name": "cta_url", "parameters": {}}),
    "asked for the place": special(
        "location_request_message", {"name": "send_location"}
    ),
    "place": place(name="Municipio", address="via Roma 145"),
    "whole degrees": place(latitude=39, longitude=9),
    "contact": contact(phones=[{"phone": "+39070", "type": "WORK"}]),
    "reaction": reaction(),
    "reaction taken back": reaction(emoji=""),
}


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
async def test_right_message_is_taken(sent_code, body):
    """What Meta's guides allow, to the last character."""
    assert 200 == await sent_code(body)


MISSING, WRONG, PARAMETER = 131008, 131009, 100
REFUSED = {
    "no interactive": (without(menu(), "interactive"), MISSING),
    "no kind": (without(menu(), "interactive", "type"), MISSING),
    "unknown kind": (special("telepathy", {}), WRONG),
    "kind is no text": (menu(type=7), WRONG),
    "more keys": (menu(colour="red"), PARAMETER),
    "no body": (without(menu(), "interactive", "body"), MISSING),
    "empty body": (menu(body={"text": ""}), WRONG),
    "list: body too long": (menu(body={"text": "x" * 4097}), WRONG),
    "list: image above": (
        menu(header={"type": "image", "image": {"id": "1"}}),
        WRONG,
    ),
    "header too long": (menu(header={"type": "text", "text": "x" * 61}), WRONG),
    "footer too long": (menu(footer={"text": "x" * 61}), WRONG),
    "no label": (without(menu(), "interactive", "action", "button"), MISSING),
    "label too long": (
        menu(action={"button": "x" * 21, "sections": [{"rows": rows(1)}]}),
        WRONG,
    ),
    "no sections": (menu(action={"button": "x", "sections": []}), WRONG),
    "no rows": (menu([{"rows": []}]), WRONG),
    "eleven rows": (menu([{"rows": rows(11)}]), WRONG),
    "eleven rows in two sections": (
        menu([TITLED, {"title": "Altro", "rows": rows(6, 5)}]),
        WRONG,
    ),
    "eleven sections": (
        menu([{"title": str(n), "rows": rows(1, n)} for n in range(11)]),
        WRONG,
    ),
    "two sections, one title": (menu([TITLED, {"rows": rows(1, 5)}]), MISSING),
    "section title too long": (menu([{"title": "x" * 25, "rows": rows(1)}]), WRONG),
    "two rows of one id": (menu([{"rows": rows(1) + rows(1)}]), WRONG),
    "row id too long": (menu([{"rows": [{"id": "x" * 201, "title": "x"}]}]), WRONG),
    "row title too long": (menu([{"rows": [{"id": "x", "title": "x" * 25}]}]), WRONG),
    "row without title": (menu([{"rows": [{"id": "x"}]}]), MISSING),
    "description too long": (
        menu([{"rows": [{"id": "x", "title": "x", "description": "x" * 73}]}]),
        WRONG,
    ),
    "buttons: body too long": (buttons(body={"text": "x" * 1025}), WRONG),
    "no buttons": (buttons([]), WRONG),
    "four buttons": (buttons([{"id": c, "title": c} for c in "abcd"]), WRONG),
    "two buttons of one id": (
        buttons([{"id": "a", "title": "x"}, {"id": "a", "title": "y"}]),
        WRONG,
    ),
    "two buttons of one title": (
        buttons([{"id": "a", "title": "x"}, {"id": "b", "title": "x"}]),
        WRONG,
    ),
    "button id too long": (buttons([{"id": "x" * 257, "title": "x"}]), WRONG),
    "button title too long": (buttons([{"id": "x", "title": "x" * 21}]), WRONG),
    "image above is missing": (buttons(header={"type": "image"}), MISSING),
    "link without parameters": (special("cta_url", {"name": "cta_url"}), MISSING),
    "product list without body": (
        without(special("product_list", {}), "interactive", "body"),
        MISSING,
    ),
    "place without latitude": (without(place(), "location", "latitude"), MISSING),
    "place off the map": (place(latitude=91), WRONG),
    "degrees as text": (place(latitude="39.2"), WRONG),
    "no contacts": ({**WHOLE, "type": "contacts", "contacts": []}, WRONG),
    "contact without name": (
        {**WHOLE, "type": "contacts", "contacts": [{}]},
        MISSING,
    ),
    "contact with half a name": (
        contact(name={"formatted_name": "Maria Deiana"}),
        MISSING,
    ),
    "contact with more keys": (contact(colour="red"), PARAMETER),
    "reaction to nothing": (without(reaction(), "reaction", "message_id"), MISSING),
    "reaction without emoji": (without(reaction(), "reaction", "emoji"), MISSING),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
async def test_wrong_message_is_refused(sent_code, sim, body, code):
    """One step over each limit, with Meta's code, and nothing goes out."""
    assert code == await sent_code(body)
    assert [] == sim.sent


async def test_ledger_tells_what_went_out(sent_code, sim):
    """Options, place and reaction, not only that there was something."""
    for body in (menu(), buttons(), place(), reaction()):
        await sent_code(body)
    listed, pressed, where, reacted = sim.sent

    assert ("Che cosa?", "list", (("r0", "Riga 0"), ("r1", "Riga 1"))) == (
        listed.text,
        listed.interactive,
        listed.menu,
    )
    assert ("button", (("a", "Sì"),)) == (pressed.interactive, pressed.menu)
    assert (39.2, 9.1) == where.location
    assert ("x", "wamid.abc") == (reacted.reaction, reacted.reaction_to)
