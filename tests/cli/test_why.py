"""The reason for an assignment, as staff read it."""

import orjson
import pytest

from gateway.cli.why import why
from gateway.model import Alternative, Clue, Grounds

TEXT = "c'è una buca"


@pytest.mark.parametrize(
    ("grounds", "line"),
    [
        (None, ""),
        (Grounds(layer="choice"), "choice"),
        (Grounds(layer="rules", rule="Buche"), "Buche"),
        (
            Grounds(
                layer="rules",
                rule="Buche",
                clues=(Clue(start=8, end=12),),
                conditions=("canale: pec",),
                alternatives=(Alternative(service="rifiuti", score=0.123456),),
            ),
            "Buche: «buca»; canale: pec; not: rifiuti 0.123",
        ),
    ],
)
def test_why(grounds, line):
    """The rule or the layer, the words themselves, what else held, and who lost."""
    stored = orjson.dumps(grounds).decode() if grounds else None

    assert line == why(stored, TEXT)
