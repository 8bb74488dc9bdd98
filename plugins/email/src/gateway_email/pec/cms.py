"""A fence around pyHanko, which has no types: one detached signature (RFC 5652 §5).

Imported only when a signature is to be verified. It lets nothing be fetched, and
silences the library's own logging, which has a traceback for each doubt.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

from asn1crypto import cms, x509  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from pyhanko.sign.validation import (
    generic_cms,
    settings,
    utils,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
from pyhanko_certvalidator.name_trees import (
    GeneralNameType,
    default_permitted_subtrees,
    process_general_subtrees,
)
from pyhanko_certvalidator.policy_decl import (
    DisallowWeakAlgorithmsPolicy,
    PKIXValidationParams,
)

_T = TypeVar("_T")

_CERTIFICATES = 20
"""Certificates that a signature may bring along; it is mostly one or two."""

_WEAK = frozenset({"md2", "md5"})
_USAGE = settings.KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"},
    extd_key_usage={"email_protection"},
    explicit_extd_key_usage_required=False,
)

for _name in ("pyhanko", "pyhanko_certvalidator"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def load(octets: bytes) -> Any | None:
    """Read a signature by one signer; None if it is something else."""
    content = cms.ContentInfo.load(octets)
    if content["content_type"].native != "signed_data":
        return None
    data = content["content"]
    few = len(data["certificates"]) <= _CERTIFICATES
    return data if few and len(data["signer_infos"]) == 1 else None


def signing_time(data: Any) -> datetime | None:
    """Return when the signer says that it signed, if it does."""
    claimed: datetime | None
    claimed = generic_cms.extract_self_reported_ts(data["signer_infos"][0])
    return claimed


def validate(
    octets: bytes,
    data: Any,
    anchors: Sequence[Certificate],
    moment: datetime,
    *,
    allow_sha1: bool,
) -> Any:
    """Return pyHanko's status of a signature over ``octets``, as of ``moment``."""
    weak = _WEAK if allow_sha1 else _WEAK | {"sha1"}
    algorithms = DisallowWeakAlgorithmsPolicy(weak_hash_algos=weak)  # type: ignore[no-untyped-call] # the library's
    context = ValidationContext(
        trust_roots=[_anchor(each) for each in anchors],
        moment=moment,
        allow_fetching=False,
        algorithm_usage_policy=algorithms,
    )
    return _at_once(
        generic_cms.async_validate_detached_cms(
            octets,
            data,
            context,
            key_usage_settings=_USAGE,
            algorithm_policy=utils.CMSAlgorithmUsagePolicy.lift_policy(algorithms),
        )
    )


def _anchor(anchor: Certificate) -> CertTrustAnchor:
    """Return a trust anchor that signs only for the domains it is confined to.

    AgID's authority names all providers so; RFC 5280 leaves an anchor's own name
    constraints aside (§6.1.1).
    """
    certificate = x509.Certificate.load(anchor.public_bytes(Encoding.DER))
    constraints = certificate.name_constraints_value
    if constraints is None or not isinstance(
        constraints["permitted_subtrees"], x509.GeneralSubtrees
    ):
        return CertTrustAnchor(certificate)
    permitted = process_general_subtrees(constraints["permitted_subtrees"])
    mail = GeneralNameType.RFC822_NAME
    subtrees = default_permitted_subtrees()
    subtrees[mail] = permitted.get(mail) or subtrees[mail]
    parameters = PKIXValidationParams(initial_permitted_subtrees=subtrees)
    return CertTrustAnchor(
        certificate, quals=TrustQualifiers(standard_parameters=parameters)
    )


def _at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that waits for nothing, as without fetching it does."""
    try:
        work.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    work.close()
    raise NotImplementedError("the verification wants to wait")
