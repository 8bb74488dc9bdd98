"""The Graph API's versions and their ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from gateway_whatsapp import WhatsAppChannel, WhatsAppConfig
from gateway_whatsapp.versions import ENDS, NEWEST, advice, is_version

from gateway.model import HealthStatus
from gateway.testing.kit import ManualClock


@pytest.mark.parametrize(
    ("asked", "today", "text"),
    [
        ("v21.0", date(2026, 11, 21), ""),
        ("v21.0", date(2026, 11, 22), "version v21.0 of Meta's API ends on 2027-01-21"),
        ("v21.0", date(2027, 1, 21), "ends on 2027-01-21"),
        ("v21.0", date(2027, 1, 22), "ended on 2027-01-21"),
        ("v25.0", date(2026, 11, 24), ""),
        ("v25.0", date(2028, 7, 1), "set the version in base_url to"),
        ("v2.5", date(2026, 11, 24), "version v2.5 of Meta's API ended"),
        ("v99.0", date(2040, 1, 1), ""),
    ],
)
def test_end_is_told_in_time(asked, today, text):
    """60 days before the end it is told what to set; unknown versions are fine."""
    told = advice(asked, "", today)

    assert text in told
    assert bool(text) == bool(told)
    assert not told or NEWEST in told


@pytest.mark.parametrize(
    ("served", "told"), [("v22.0", True), ("v21.0", False), ("", False), ("x", False)]
)
def test_another_version_served(served, told):
    """What Meta really serves is believed."""
    assert told == ("serves" in advice("v21.0", served, date(2026, 1, 1)))


def test_table_is_in_order():
    """A later version never ends before an earlier one; the newest is in the table."""
    assert sorted(ENDS) == list(ENDS)
    assert sorted(ENDS.values()) == list(ENDS.values())
    assert NEWEST == f"v{max(ENDS)}.0"


def test_default_version_is_known():
    """What a configuration without base_url asks for is in the table."""
    url = WhatsAppConfig.model_fields["base_url"].default
    version = url.rpartition("/")[2]

    assert is_version(version)
    assert int(version[1:-2]) in ENDS


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2027, 1, 1, tzinfo=UTC), HealthStatus.DEGRADED),
        (datetime(2026, 6, 1, tzinfo=UTC), HealthStatus.OK),
    ],
)
def test_health_goes_by_the_gateways_clock(channel, config, moment, expected):
    """The daemon's health turns before the version's end, without a request."""
    context = replace(channel().context, clock=ManualClock(moment))
    url = "https://graph.facebook.com/v21.0"
    made = WhatsAppChannel("whatsapp", config(base_url=url), context)

    assert expected is made.health().status
