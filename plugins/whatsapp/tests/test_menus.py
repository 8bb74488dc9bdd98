"""Menus as buttons, as a list, or written out."""

from __future__ import annotations

import pytest
from gateway_whatsapp.render import render

from gateway.model import Menu, Option


def menu(count: int, *, title: str = "Voce", description: str = "") -> Menu:
    """Return a menu of some options."""
    options = tuple(
        Option(id=f"topic:{n}", title=f"{title} {n}", description=description)
        for n in range(count)
    )
    return Menu(options=options, label="Argomenti")


def test_few_short_options_are_buttons(outgoing):
    """Three at most, to be tapped at once."""
    body = render(outgoing(text="Di che si tratta?", menu=menu(3)))

    assert "interactive" == body["type"]
    assert {
        "type": "button",
        "body": {"text": "Di che si tratta?"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": f"topic:{n}", "title": f"Voce {n}"}}
                for n in range(3)
            ]
        },
    } == body["interactive"]
    assert {"message_id": "wamid.abc"} == body["context"]


def test_more_are_a_list(outgoing):
    """Ten at most, behind a button."""
    body = render(outgoing(text="?", menu=menu(10, description="Buche, lampioni")))

    action = body["interactive"]["action"]
    assert "list" == body["interactive"]["type"]
    assert "Argomenti" == action["button"]
    (section,) = action["sections"]
    assert 10 == len(section["rows"])
    assert {
        "id": "topic:0",
        "title": "Voce 0",
        "description": "Buche, lampioni",
    } == section["rows"][0]


@pytest.mark.parametrize(
    "shown",
    [
        {"text": "x" * 1025, "menu": menu(2)},
        {"text": "?", "menu": menu(2, title="Rifiuti ingombranti")},
        {"text": "?", "menu": menu(2, description="d")},
    ],
    ids=["long text", "long title", "description"],
)
def test_what_does_not_fit_on_buttons_is_a_list(outgoing, shown):
    """Two options, but no room."""
    assert "list" == render(outgoing(**shown))["interactive"]["type"]


@pytest.mark.parametrize(
    "options",
    [menu(11), menu(4, title="x" * 30), menu(4, description="x" * 73)],
    ids=["eleven", "long titles", "long descriptions"],
)
def test_what_fits_nowhere_is_written_out(outgoing, options):
    """The citizen can write what they would have tapped."""
    body = render(outgoing(text="Di che si tratta?", menu=options))

    assert "text" == body["type"]
    assert f"- {options.options[-1].title}" in body["text"]["body"]


def test_label_that_is_none_or_too_long(outgoing):
    """The button says something all the same."""
    long = Menu(options=menu(4).options, label="x" * 21)
    body = render(outgoing(text="?", menu=long))

    assert "Scegli" == body["interactive"]["action"]["button"]
