"""What citizens read, in each language."""

from __future__ import annotations

import string

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from gateway import texts

ALL = {
    value
    for name, value in vars(texts).items()
    if name.isupper() and isinstance(value, str) and name != "DOMAIN"
}
CATALOGS = sorted(texts.LOCALES.glob("*/LC_MESSAGES/*.po"))


def translated(catalog) -> dict[str, str]:
    """Return the texts of a catalog, without its header."""
    return {each.id: each.string for each in catalog if each.id}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_catalog_is_whole(path):
    """It has every text and no other, with the same places to fill, and is compiled."""
    with path.open("rb") as source, path.with_suffix(".mo").open("rb") as compiled:
        found = translated(read_po(source))
        used = translated(read_mo(compiled))

    assert ALL == found.keys()
    assert found == used
    for msgid, text in found.items():
        assert places(msgid) == places(text), msgid


def places(text: str) -> set[str]:
    """Return the names of what is filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_values_are_no_patterns():
    """A brace in what a citizen or office wrote stands as it is."""
    said = texts.Texts("it").say(texts.REJECTED, reason="{number} {}")

    assert said.endswith("{number} {}")
