"""Meta's error codes → what to do; the one place where this is decided.

Source: Meta, *Cloud API error codes*. Decide on the code, never on Meta's text, which
may name the recipient; the texts here tell staff what to do.

ACCOUNT errors are tried again: the message is not at fault, and the circuit breaker
keeps the attempts few until somebody has mended the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final, Literal

from gateway.errors import AttachmentError, DeliveryError


class Action(Enum):
    """What a code asks for."""

    RETRY = "try again later"
    THROTTLE = "try again later, and send less to this recipient until then"
    TEMPLATE = "say it by a template"
    CONTACT = "this recipient can't be reached so"
    ACCOUNT = "our account or configuration is at fault: tell staff, health turns red"
    PERMANENT = "our request is wrong, and would be again"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do about a code, and what to tell staff."""

    action: Action
    text: str


R, A, C, B = Action.RETRY, Action.ACCOUNT, Action.CONTACT, Action.PERMANENT

RULES: Final[dict[int, Rule]] = {
    1: Rule(R, "Meta had an unknown fault"),
    2: Rule(R, "Meta's service is down for the moment"),
    4: Rule(R, "the app has made too many calls"),
    80007: Rule(R, "the WhatsApp account has made too many calls"),
    130429: Rule(R, "more messages per second than the number may send"),
    131000: Rule(R, "Meta had an unknown fault"),
    131016: Rule(R, "Meta's service is overloaded"),
    131057: Rule(R, "the account is under maintenance"),
    133016: Rule(R, "too many registrations of the number: wait"),
    131056: Rule(Action.THROTTLE, "too many messages to one recipient in a short time"),
    0: Rule(A, "the token was refused: make a new one"),
    3: Rule(A, "the app lacks a permission: see its capabilities at Meta"),
    10: Rule(A, "permission missing: grant whatsapp_business_messaging"),
    190: Rule(
        A, "the token has expired, was revoked or is mistyped: set a good one in token"
    ),
    368: Rule(A, "Meta has blocked the account for a breach of its policies"),
    131005: Rule(A, "access denied: check the permissions of the system user"),
    131031: Rule(A, "Meta has locked the account: see Business Support"),
    131037: Rule(A, "the number's display name is not approved yet"),
    131042: Rule(A, "the means of payment is missing or refused"),
    131044: Rule(A, "the means of payment is missing or refused"),
    131045: Rule(A, "the number is not registered: register it at Meta"),
    131064: Rule(A, "the account may not send this for now"),
    131026: Rule(
        C, "undeliverable: not on WhatsApp, old client, or terms not accepted"
    ),
    131047: Rule(
        Action.TEMPLATE, "more than 24 hours since the citizen wrote: set a template"
    ),
    131021: Rule(C, "sender and recipient are the same number"),
    131030: Rule(
        C, "the number is still in test mode: allow the recipient, or go live"
    ),
    131050: Rule(C, "the citizen has stopped marketing messages"),
    131049: Rule(C, "Meta limits messages to this citizen: wait 24 hours"),
    131048: Rule(
        A, "Meta limits the number: citizens blocked too many of its messages"
    ),
    131062: Rule(C, "this kind of message can't go to a user id without a number"),
    137000: Rule(C, "the citizen's identity key has changed"),
    130472: Rule(C, "the citizen is part of an experiment of Meta's"),
    130497: Rule(C, "messages to this country are not allowed"),
    100: Rule(B, "a parameter is wrong, or an id names nothing"),
    131008: Rule(B, "a parameter is missing"),
    131009: Rule(B, "a parameter has a wrong value"),
    131051: Rule(B, "this type of message is not supported"),
    131052: Rule(B, "Meta could not fetch the citizen's file"),
    131053: Rule(B, "Meta could not take the file"),
    132000: Rule(B, "the template has another number of parameters"),
    132001: Rule(B, "no such template in this language"),
    132005: Rule(B, "the template's text became too long"),
    132007: Rule(B, "the template breaks a policy"),
    132008: Rule(B, "the template's parameters are malformed"),
    132012: Rule(B, "the template's parameters have another format"),
    132015: Rule(B, "the template is paused for low quality"),
    132016: Rule(B, "the template is disabled for low quality"),
    132068: Rule(B, "the flow is blocked"),
    132069: Rule(B, "the flow is throttled"),
    135000: Rule(B, "a parameter is wrong"),
    139100: Rule(B, "the user could not be blocked or unblocked"),
    139101: Rule(B, "the list of blocked users is full: take some off"),
    139102: Rule(R, "the list of blocked users was being changed"),
    139103: Rule(R, "Meta had a fault with the list of blocked users"),
}
"""Code → rule; 200 to 299 are permissions (`rule_of`)."""

_PERMISSIONS = range(200, 300)
_LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as the Graph API told it; ``code`` is None if it was not Graph."""

    status: int
    code: int | None
    transient: bool = False
    retry_after: float | None = None


def rule_of(refusal: Refusal) -> Rule:
    """Return what to do; an unknown code is judged by the HTTP status."""
    code = refusal.code
    if code in RULES:
        return RULES[code]
    if code in _PERMISSIONS:
        return Rule(Action.ACCOUNT, "permission missing: see the token's permissions")
    text = f"HTTP {refusal.status}"
    if refusal.transient or refusal.status in _BUSY or refusal.status >= _FAULT:
        return Rule(Action.RETRY, text)
    if code is None or refusal.status in _DENIED:
        # No Graph error: something between us and Meta answered.
        return Rule(Action.ACCOUNT, text)
    return Rule(Action.PERMANENT, f"{text} with an error we don't know")


_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_FAULT = HTTPStatus.INTERNAL_SERVER_ERROR


_AGAIN = {Action.RETRY, Action.THROTTLE, Action.ACCOUNT}
_THROUGHPUT = {4, 80007, 130429}
"""Codes that say that the number or the app as a whole is too fast."""


def may_retry(code: str) -> bool:
    """Tell whether a delivery that a status reports as failed may be sent once more.

    A template, where one is set, says what could not be said without.
    """
    rule = RULES.get(int(code)) if code.isascii() and code.isdecimal() else None
    return rule is not None and rule.action in {*_AGAIN, Action.TEMPLATE}


def name_of(refusal: Refusal) -> str:
    """Return the stable code by which staff and metrics know a refusal."""
    return f"http_{refusal.status}" if refusal.code is None else str(refusal.code)


def delivery_error(
    refusal: Refusal, attempt: int, *, sending: bool = True
) -> DeliveryError:
    """Return a refused send as data; ``attempt`` counts from 1.

    A fault of the server's that is told without a Graph error leaves open whether
    the message was taken, if we were ``sending`` one and not just uploading a file.
    """
    rule = rule_of(refusal)
    return DeliveryError(
        name_of(refusal),
        rule.text,
        retryable=rule.action in _AGAIN,
        unknown=sending and refusal.code is None and refusal.status >= _FAULT,
        account=rule.action is Action.ACCOUNT,
        retry_after=_pause(refusal, rule, attempt),
        too_fast=_too_fast(refusal, rule),
    )


def attachment_error(refusal: Refusal) -> AttachmentError:
    """Return a refused look-up of a file as data."""
    rule = rule_of(refusal)
    return AttachmentError(
        name_of(refusal),
        rule.text,
        retryable=rule.action in _AGAIN,
        retry_after=refusal.retry_after,
    )


def _too_fast(refusal: Refusal, rule: Rule) -> Literal["", "recipient", "target"]:
    if rule.action is Action.THROTTLE:
        return "recipient"
    return "target" if refusal.code in _THROUGHPUT else ""


def _pause(refusal: Refusal, rule: Rule, attempt: int) -> float | None:
    """Return seconds to wait: for a pair limit, Meta asks for 4^n."""
    if refusal.retry_after is None and rule.action is Action.THROTTLE:
        return min(4.0 ** min(attempt, 8), _LONGEST_PAUSE)
    return refusal.retry_after
