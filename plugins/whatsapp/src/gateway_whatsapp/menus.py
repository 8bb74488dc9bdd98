"""A menu → the object ``interactive``: buttons or a list. Pure.

Sources: Meta, *Interactive reply buttons messages*, *Interactive list messages*.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.model import Menu

_MOST_BUTTONS, _LONGEST_BUTTON, _LONGEST_ABOVE_BUTTONS = 3, 20, 1024
_MOST_ROWS, _LONGEST_ROW, _LONGEST_ABOVE_LIST = 10, 24, 4096
_LONGEST_DESCRIPTION, _LONGEST_ID = 72, 200
_LABEL: Final = "Scegli"


def render_menu(text: str, menu: Menu) -> dict[str, Any] | None:
    """Return buttons where they suffice, else a list; None if it fits into neither."""
    if not text or any(len(each.id) > _LONGEST_ID for each in menu.options):
        return None
    if _fits_buttons(text, menu):
        return {"type": "button", "body": {"text": text}, "action": _buttons(menu)}
    if _fits_list(text, menu):
        return {"type": "list", "body": {"text": text}, "action": _list(menu)}
    return None


def written_out(text: str, menu: Menu) -> str:
    """Return what can be chosen as lines of the text: one may write it back."""
    lines = (f"- {option.title}" for option in menu.options)
    return "\n".join([text, "", *lines])


def _fits_buttons(text: str, menu: Menu) -> bool:
    return (
        len(text) <= _LONGEST_ABOVE_BUTTONS
        and len(menu.options) <= _MOST_BUTTONS
        and not any(option.description for option in menu.options)
        and all(len(option.title) <= _LONGEST_BUTTON for option in menu.options)
    )


def _fits_list(text: str, menu: Menu) -> bool:
    return (
        len(text) <= _LONGEST_ABOVE_LIST
        and len(menu.options) <= _MOST_ROWS
        and all(
            len(option.title) <= _LONGEST_ROW
            and len(option.description) <= _LONGEST_DESCRIPTION
            for option in menu.options
        )
    )


def _buttons(menu: Menu) -> dict[str, Any]:
    replies = [{"id": each.id, "title": each.title} for each in menu.options]
    return {"buttons": [{"type": "reply", "reply": reply} for reply in replies]}


def _list(menu: Menu) -> dict[str, Any]:
    rows = [
        {"id": each.id, "title": each.title}
        | ({"description": each.description} if each.description else {})
        for each in menu.options
    ]
    label = menu.label if 0 < len(menu.label) <= _LONGEST_BUTTON else _LABEL
    return {"button": label, "sections": [{"rows": rows}]}
