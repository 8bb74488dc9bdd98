"""What counts as an instruction of an office, and what is only said."""

from __future__ import annotations

import pytest

from gateway.instructions import Instruction, find_office, read
from gateway.model import Order, ServiceId

SERVICES = {
    ServiceId("strade"): "Ufficio Strade",
    ServiceId("rifiuti"): "Igiene urbana e rifiuti",
    ServiceId("sport"): "Attività sportive",
}


@pytest.mark.parametrize(
    ("text", "office", "rest"),
    [
        ("chiuso", "", ""),
        ("Chiuso.\n\nRiparato ieri.", "", "Riparato ieri."),
        ("\nPRATICA CHIUSA!\r\n", "", ""),
        ("segnalazione  chiusa", "", ""),
        ("closed", "", ""),
        ("inoltrato a Rifiuti", "Rifiuti", ""),
        ("Inoltrata all'ufficio Strade.\nÈ loro.", "ufficio Strade", "È loro."),
        ("inoltrato all\u2019Ufficio Strade", "Ufficio Strade", ""),
        ("inoltrato alla polizia locale", "polizia locale", ""),
        ("inoltrato a: strade", "strade", ""),
        ("forwarded to strade", "strade", ""),
    ],
)
def test_first_line_that_says_nothing_else_is_an_instruction(text, office, rest):
    """Case, spaces, a full stop and the apostrophe make no difference."""
    order = Order.HAND_ON if office else Order.CLOSE
    assert Instruction(order=order, office=office, rest=rest) == read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "L'ufficio è chiuso il lunedì.",
        "chiuso per lavori",
        "Il cantiere è chiuso",
        "Gentile signora,\nchiuso",
        "La richiesta è stata inoltrata a Strade",
        "inoltrato ieri",
        "inoltrato a",
        "inoltrato a " + "x" * 100,
        "chiudete il rubinetto",
    ],
)
def test_what_is_said_in_a_sentence_is_no_instruction(text):
    """A sentence goes to the citizen as it is."""
    assert read(text) is None


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("strade", "strade"),
        ("Ufficio Strade", "strade"),
        ("settore strade", "strade"),
        ("igiene urbana, e rifiuti", "rifiuti"),
        ("ATTIVITA' SPORTIVE", "sport"),
        ("chi di competenza", None),
        ("", None),
    ],
)
def test_office_is_found_by_id_or_name(name, service):
    """Small differences of writing are left aside; anything else is nobody."""
    assert service == find_office(name, SERVICES)


def test_two_offices_of_one_name_are_none():
    """What could be either is neither."""
    services = {ServiceId("a"): "Anagrafe", ServiceId("b"): "Ufficio anagrafe"}
    assert find_office("anagrafe", services) is None
