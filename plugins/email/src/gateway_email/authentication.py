"""What our own mail server says of a sender (Authentication-Results, RFC 8601)."""

from __future__ import annotations

import authres  # type: ignore[import-untyped]

from gateway_email.headers import Mail, raw_fields, sender

EXCHANGE_ONLINE = "exchange-online"
"""Stands for Microsoft 365, which names no authserv-id (and renames foreign fields)."""

_FIELD = "authentication-results"
_MOST_RESULTS = 50
_UNREADABLE = (authres.AuthResError, RecursionError, ValueError)


def is_authentic(mail: Mail, authserv_id: str) -> bool:
    """Tell whether the server ``authserv_id`` has proven the address in From.

    By DMARC; where it says nothing, by SPF, DKIM or a login of the same domain.
    """
    found = sender(mail)
    if found is None:
        return False
    domain = found.domain.lower()
    results = _results(mail, authserv_id.lower())
    for method, result, domains in results:
        if method == "dmarc" and result in ("pass", "fail"):
            return result == "pass" and domain in domains
    return any(
        result == "pass" and any(_aligned(each, domain) for each in domains)
        for method, result, domains in results
        if method in ("spf", "dkim", "auth")
    )


def _results(mail: Mail, server: str) -> list[tuple[str, str, list[str]]]:
    """Return method, result and domains of what our server has found out itself.

    It writes above its own Received; what stands below came with the mail, whatever
    name it bears (RFC 8601 §5).
    """
    found: list[tuple[str, str, list[str]]] = []
    is_ours = False
    for name, value in raw_fields(mail, ("received", _FIELD)):
        if name == "received":
            if is_ours:
                return found
            continue
        results = _parsed(value, server)
        is_ours = is_ours or results is not None
        found += results or []
    # Below every Received: no server has written that on the way.
    return []


def _parsed(value: str, server: str) -> list[tuple[str, str, list[str]]] | None:
    """Return the results of a field; None if it is another server's.

    What can't be read may be ours: then what stands below is not to be trusted.
    """
    if server == EXCHANGE_ONLINE:
        value = f"{EXCHANGE_ONLINE}; {value.rstrip('; ')}"
    try:
        header = authres.AuthenticationResultsHeader.parse_value(value)
    except _UNREADABLE:
        return []
    if str(header.authserv_id).lower() != server:
        return None
    return [
        (str(each.method).lower(), str(each.result).lower(), _domains(each))
        for each in header.results[:_MOST_RESULTS]
    ]


_SAYING = {
    "auth": {("smtp", "auth")},
    "dkim": {("header", "d")},
    "dmarc": {("header", "from")},
    "spf": {("smtp", "mailfrom")},
}
"""The property of each method that names the domain it has proven."""


def _domains(result: authres.AuthenticationResult) -> list[str]:
    saying = _SAYING.get(str(result.method).lower(), set())
    return [
        str(each.value).rpartition("@")[2].lower()
        for each in result.properties
        if (each.type, each.name) in saying
    ]


def _aligned(proven: str, domain: str) -> bool:
    """Tell whether one is the other, or within it (relaxed, RFC 7489 §3.1)."""
    if "." not in proven:
        return False
    return (
        proven == domain
        or proven.endswith(f".{domain}")
        or domain.endswith(f".{proven}")
    )
