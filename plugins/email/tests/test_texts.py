"""What offices and citizens read in our mail, in each language."""

from __future__ import annotations

import re
import string

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from gateway_email import texts
from gateway_email.stationery import FOLDER

OF_CODE = {
    value
    for name, value in vars(texts).items()
    if name.isupper() and isinstance(value, str) and name != "DOMAIN"
}
OF_TEMPLATES = {
    found[2]
    for found in extract_from_dir(
        FOLDER, [("**", "jinja2")], {"**": {"newstyle_gettext": "true"}}
    )
}
CATALOGS = sorted(texts.LOCALES.glob("*/LC_MESSAGES/*.po"))


def translated(catalog) -> dict[str, str]:
    """Return the texts of a catalog, without its header."""
    return {each.id: each.string for each in catalog if each.id}


def places(text: str) -> set[str]:
    """Return the names of what is filled in, in code or in a template."""
    named = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return named | set(re.findall(r"%\((\w+)\)s", text))


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_catalog_is_whole(path):
    """It has every text and no other, with the same places to fill, and is compiled."""
    with path.open("rb") as source, path.with_suffix(".mo").open("rb") as compiled:
        found = translated(read_po(source))
        used = translated(read_mo(compiled))

    assert OF_TEMPLATES
    assert OF_CODE | OF_TEMPLATES == found.keys()
    assert found == used
    for msgid, text in found.items():
        assert text, msgid
        assert places(msgid) == places(text), msgid
