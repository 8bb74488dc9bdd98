"""Whether a provider signed: CMS (RFC 5652) by pyHanko, which `cryptography` lacks.

Nothing is fetched: neither certificates nor revocation lists. Who is no longer trusted
is taken off the trust list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.errors import PayloadError
from gateway_email.pec.envelope import Signed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SIGNER = "posta-certificata@"
"""How the address of every provider's signer begins (DM 2 Nov 2005, annex)."""

_BACKLOG = timedelta(days=30)
"""How long before its arrival a mail may have been signed, by its own word."""

_SKEW = timedelta(minutes=10)


class Doubt(StrEnum):
    """Why a signature is not believed."""

    UNSIGNED = "nobody has signed it"
    BROKEN = "the signature can't be read"
    ALTERED = "the content is not what was signed"
    WRONG = "the signature is wrong"
    WEAK = "signed with a weak digest or key (see allow_sha1)"
    UNKNOWN = "the signer is not on the trust list"
    EXPIRED = "the signer's certificate was not valid then"
    UNFIT = "the signer's certificate is not for this use"
    IMPOSTOR = "the signer is not the sender in From"


class Untrusted(PayloadError):
    """A signature is not believed; ``doubt`` says why."""

    code = "pec_not_trusted"

    def __init__(self, doubt: Doubt) -> None:
        """Keep the reason."""
        super().__init__("smime.p7s", doubt.value)
        self.doubt = doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is believed: ``certificates`` as trust anchors, SHA-1 only if allowed."""

    certificates: Sequence[Certificate]
    allow_sha1: bool = False


def verify(
    signed: Signed, policy: Policy, *, sender: str, received_at: datetime
) -> datetime:
    """Verify that the provider ``sender`` signed; return when it says it did.

    Its certificate must have been valid when it signed, by its own word if that is
    within 30 days before ``received_at``, else at ``received_at``.

    Raises:
        Untrusted: for one of the reasons of `Doubt`.

    """
    try:
        status, moment = _status(signed, policy, received_at)
        addresses, valid = _addresses(status.signing_cert), _is_valid(status, moment)
    except Untrusted:
        raise
    except Exception:  # noqa: BLE001 (three libraries raise what they like on broken ones)
        raise Untrusted(Doubt.BROKEN) from None
    _judge(status, valid=valid)
    sender = sender.lower()
    if not sender.startswith(SIGNER) or sender not in addresses:
        raise Untrusted(Doubt.IMPOSTOR)
    return moment


def _status(
    signed: Signed, policy: Policy, received_at: datetime
) -> tuple[Any, datetime]:
    """Let pyHanko judge; return its status and the time that it is about."""
    from gateway_email.pec import cms  # noqa: PLC0415 (0.4 s that most daemons don't need)

    data = cms.load(signed.signature)
    if data is None:
        raise Untrusted(Doubt.BROKEN)
    moment = _moment(cms.signing_time(data), received_at)
    status = cms.validate(
        signed.octets,
        data,
        policy.certificates,
        moment,
        allow_sha1=policy.allow_sha1,
    )
    return status, moment


def _moment(claimed: datetime | None, received_at: datetime) -> datetime:
    """Return when it was signed, by the signer's own word if that can be."""
    if claimed is None or not (
        received_at - _BACKLOG <= claimed <= received_at + _SKEW
    ):
        return received_at
    return claimed


def _judge(status: Any, *, valid: bool) -> None:
    if not status.intact:
        raise Untrusted(Doubt.ALTERED)
    if not valid:
        raise Untrusted(Doubt.EXPIRED)
    problem = status.trust_problem_indic
    if problem is not None:
        raise Untrusted(_DOUBTS.get(problem.name, Doubt.UNKNOWN))
    if not status.valid:
        raise Untrusted(Doubt.WRONG)
    if not status.bottom_line:
        raise Untrusted(Doubt.UNKNOWN)


_DOUBTS = {
    "CHAIN_CONSTRAINTS_FAILURE": Doubt.UNFIT,
    "CRYPTO_CONSTRAINTS_FAILURE": Doubt.WEAK,
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": Doubt.WEAK,
}


def _is_valid(status: Any, moment: datetime) -> bool:
    """Tell whether the signer's certificate holds then, also as its own anchor."""
    certificate = status.signing_cert
    start: datetime = certificate.not_valid_before
    end: datetime = certificate.not_valid_after
    return start <= moment <= end


def _addresses(certificate: Any) -> set[str]:
    """Return the e-mail addresses that the certificate is for (RFC 8550 §3)."""
    names = certificate.subject_alt_name_value
    if names is None:
        return set()
    return {str(name.native).lower() for name in names if name.name == "rfc822_name"}
