"""Whose signatures are believed, beyond what the corpus shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gateway_email.pec.envelope import Signed
from gateway_email.pec.signature import Doubt, Policy, Untrusted, verify
from pec_authority import Identity, authority, provider
from pec_papers import sign

CONTENT = b"Content-Type: text/plain\r\n\r\nCiao.\r\n"


def _doubt(identity: Identity, *anchors: Identity, sender: str) -> Doubt | None:
    """Return why a signature is not believed, None if it is."""
    signed = Signed(octets=CONTENT, signature=sign(CONTENT, identity))
    policy = Policy(certificates=[each.certificate for each in anchors])
    try:
        verify(signed, policy, sender=sender, received_at=datetime.now(UTC))
    except Untrusted as error:
        return error.doubt
    return None


@pytest.mark.parametrize(
    ("domain", "doubt"), [("pec.uno.test", None), ("pec.altri.test", Doubt.UNKNOWN)]
)
def test_authority_signs_for_the_providers_it_names_only(
    domain: str, doubt: Doubt | None
):
    """AgID's names them all; what an authority may not, its trust does not cover."""
    root = authority("AC di tutti")
    agid = authority("AC dei gestori", root, domains=["pec.uno.test", "pec.due.test"])
    sender = f"posta-certificata@{domain}"
    signer = provider(agid, sender)

    assert doubt == _doubt(signer, agid, sender=sender)


def test_neither_root_nor_intermediate_need_be_there():
    """A provider's own certificate on the list is enough, and trusts no other."""
    root = authority("AC")
    one = provider(root, "posta-certificata@pec.uno.test")
    two = provider(root, "posta-certificata@pec.due.test")

    assert None is _doubt(one, one, sender="posta-certificata@pec.uno.test")
    assert Doubt.UNKNOWN is _doubt(two, one, sender="posta-certificata@pec.due.test")


def test_only_posta_certificata_signs_for_a_provider():
    """Another address under the same authority is somebody who sells nothing."""
    root = authority("AC")
    person = provider(root, "info@pec.uno.test")

    assert Doubt.IMPOSTOR is _doubt(person, root, sender="info@pec.uno.test")
