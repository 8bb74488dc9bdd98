"""Meta's codes and what each asks for."""

from __future__ import annotations

import pytest
from gateway_whatsapp.errors import (
    RULES,
    Action,
    Refusal,
    attachment_error,
    delivery_error,
    rule_of,
)

RETRIED = {1, 2, 4, 80007, 130429, 131000, 131016, 131057, 133016, 139102, 139103}
ACCOUNT = {
    *(0, 3, 10, 190, 368, 131005, 131031, 131037, 131042, 131044, 131045, 131064),
    131048,
}
CONTACT = {
    *(131026, 131021, 131030, 131050, 131049, 131062),
    *(137000, 130472, 130497),
}
OURS = {
    *(100, 131008, 131009, 131051, 131052, 131053, 132000, 132001, 132005),
    *(132007, 132008, 132012, 132015, 132016, 132068, 132069, 135000, 139100),
    139101,
}


@pytest.mark.parametrize(
    ("action", "codes"),
    [
        (Action.RETRY, RETRIED),
        (Action.THROTTLE, {131056}),
        (Action.TEMPLATE, {131047}),
        (Action.ACCOUNT, ACCOUNT),
        (Action.CONTACT, CONTACT),
        (Action.PERMANENT, OURS),
    ],
)
def test_every_documented_code_has_its_class(action, codes):
    """The table is the one of Meta's documentation, no code more or less."""
    assert codes == {code for code, rule in RULES.items() if rule.action is action}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (Refusal(status=400, code=130429), (True, False, False, None)),
        (Refusal(status=429, code=4, retry_after=7.0), (True, False, False, 7.0)),
        (Refusal(status=400, code=131056), (True, False, False, 16.0)),
        (Refusal(status=400, code=131056, retry_after=3.0), (True, False, False, 3.0)),
        (Refusal(status=401, code=190), (True, False, True, None)),
        (Refusal(status=403, code=200), (True, False, True, None)),
        (Refusal(status=403, code=299), (True, False, True, None)),
        (Refusal(status=400, code=131047), (False, False, False, None)),
        (Refusal(status=400, code=131009), (False, False, False, None)),
        (Refusal(status=500, code=131000), (True, False, False, None)),
        (Refusal(status=500, code=999999), (True, False, False, None)),
        (Refusal(status=400, code=999999), (False, False, False, None)),
        (Refusal(status=400, code=999999, transient=True), (True, False, False, None)),
        (Refusal(status=401, code=999999), (True, False, True, None)),
        (Refusal(status=429, code=None), (True, False, False, None)),
        (Refusal(status=502, code=None), (True, True, False, None)),
        (Refusal(status=404, code=None), (True, False, True, None)),
        (Refusal(status=302, code=None), (True, False, True, None)),
    ],
    ids=str,
)
def test_refused_send(refusal, expected):
    """A refusal says: retryable, unknown, account, seconds to wait."""
    error = delivery_error(refusal, attempt=2)

    assert expected == (
        error.retryable,
        error.unknown,
        error.account,
        error.retry_after,
    )


@pytest.mark.parametrize(("attempt", "pause"), [(1, 4.0), (3, 64.0), (50, 3600.0)])
def test_pair_limit_asks_for_longer_and_longer_pauses(attempt, pause):
    """4^n seconds, an hour at most."""
    error = delivery_error(Refusal(status=400, code=131056), attempt)

    assert pause == error.retry_after


def test_code_is_stable():
    """Staff and metrics see Meta's code, or the HTTP status where there is none."""
    codes = [
        delivery_error(Refusal(status=400, code=131030), 1).code,
        delivery_error(Refusal(status=503, code=None), 1).code,
    ]

    assert ["131030", "http_503"] == codes


def test_test_mode_is_named():
    """The commonest beginner's trap tells the way out."""
    assert "test mode" in rule_of(Refusal(status=400, code=131030)).text


@pytest.mark.parametrize(
    ("refusal", "retryable"),
    [
        (Refusal(status=400, code=100), False),
        (Refusal(status=401, code=190), True),
        (Refusal(status=503, code=None), True),
    ],
    ids=str,
)
def test_refused_file(refusal, retryable):
    """A file that Meta does not know is lost; a fault of the account is waited for."""
    assert retryable is attachment_error(refusal).retryable
