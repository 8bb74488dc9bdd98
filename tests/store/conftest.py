"""Lets the tests here use the city of the stream's tests, on each database."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "stream"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))
