"""The city's app reports, and reads what became of it."""

from __future__ import annotations

import pytest
from app_town import KEY, OLD_KEY, app_town

from gateway.store import schema


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each story is told on both databases."""
    if request.param == "sqlite":
        return "sqlite:///gateway.db"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """The keys of the app."""
    monkeypatch.setenv("APP_KEY", KEY)
    monkeypatch.setenv("OLD_APP_KEY", OLD_KEY)


async def test_report_is_followed_to_its_end(tmp_path, url):
    """Posted, redeemed, answered, closed, also over a restart: the app reads it all."""
    async with app_town(tmp_path, url) as app:
        token = await app.report()
        number = await app.number(token)
        opened = await app.read(number)
        await app.answer(number, "Squadra avvisata.")
        answered = await app.read(number)

        assert "open" == opened["status"]
        assert None is opened["status_notes"]
        assert number in opened["service_notice"]
        assert "Buche" == opened["service_name"]
        assert "C'è una buca." == opened["description"]
        assert opened["expected_datetime"] > opened["requested_datetime"]
        assert "open" == answered["status"]
        assert "Squadra avvisata." in answered["status_notes"]
    async with app_town(tmp_path, url) as app:
        assert answered == await app.read(number)
        await app.answer(number, "Buca riparata.", "closed")
        closed = await app.read(number)

        assert "closed" == closed["status"]
        assert "Buca riparata." in closed["status_notes"]
        assert "avvisata" not in closed["status_notes"]
        assert [] == await app.town.rows(schema.dead_letter)
