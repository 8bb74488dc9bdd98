"""Every file of the PEC corpus is read as the table says."""

from __future__ import annotations

import tomllib
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gateway_email import PecChannel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import PayloadError
from gateway.model import Message, Receipt, ReceiptStatus

FOLDER = Path(__file__).parents[1] / "fixtures" / "pec"
TABLE = tomllib.loads((FOLDER / "expected.toml").read_text())
MakeChannel = Callable[..., PecChannel]


def test_every_file_is_in_the_table():
    """No sample without an expectation, and none expected that is not there."""
    assert {file.stem for file in FOLDER.glob("*.eml")} == set(TABLE)
    assert 90 <= len(TABLE)


def _read(channel: PecChannel, item: Any) -> dict[str, Any]:
    """Return what was read, in the words of the table."""
    try:
        found = channel.parse(item)
    except PayloadError as error:
        return {"refused": str(error)}
    row = _receipt(found) if isinstance(found, Receipt) else _message(found)
    return {key: value for key, value in row.items() if value not in ("", [], None)}


def _receipt(found: Receipt) -> dict[str, Any]:
    expects = found.expects
    return {
        "receipt": found.status.value,
        "code": found.code,
        "text": found.text,
        "recipient": found.recipient,
        "reference": found.reference,
        "awaits": expects.recipients if expects else None,
        "warns": True if expects and expects.warn_after is not None else None,
    }


def _message(found: Message) -> dict[str, Any]:
    certified = found.flags == ("pec",)
    return {
        "message": str(found.sender),
        "flags": list(found.flags),
        "automatic": found.automatic or None,
        "first_line": (found.text.splitlines() or [""])[0],
        "files": [each.name for each in found.attachments],
        "references": list(found.references),
        "id": found.external_id if certified else None,
    }


@pytest.mark.parametrize("name", sorted(TABLE))
def test_file_is_read_as_the_table_says(
    name: str, corpus: Any, pec_channel: MakeChannel
):
    """Genuine ones as what they are, all others refused with the reason."""
    assert TABLE[name] == _read(pec_channel(), corpus.item(name))


def test_only_verified_receipts_name_a_delivery(corpus: Any, pec_channel: MakeChannel):
    """Whatever is read as a receipt is of our delivery, and on nobody's else."""
    channel = pec_channel()
    for name in (each for each, row in TABLE.items() if "receipt" in row):
        receipt = channel.parse(corpus.item(name))

        assert isinstance(receipt, Receipt)
        assert "0198f2a4-7c1e-7b3a-9d55-0123456789ab" == receipt.delivery_id
        assert "" == receipt.external_id


def test_sha1_counts_where_it_is_allowed(corpus: Any, pec_channel: MakeChannel):
    """A city whose provider still signs so can say so, knowingly."""
    receipt = pec_channel(allow_sha1=True).parse(corpus.item("falsa-sha1"))

    assert isinstance(receipt, Receipt)
    assert (ReceiptStatus.SENT, "accettazione") == (receipt.status, receipt.code)


def test_certified_time_is_the_providers(corpus: Any, pec_channel: MakeChannel):
    """When it was sent is what the provider certifies, not what Date claims."""
    message = pec_channel().parse(corpus.item("busta-buca"))

    assert isinstance(message, Message)
    assert timedelta(0) == message.sent_at - corpus.received_at
    assert message.authentic


@pytest.mark.parametrize(
    ("days", "believed"), [(29, True), (31, True), (365 * 90, True), (365 * 95, False)]
)
def test_certificate_must_have_been_valid(
    corpus: Any, pec_channel: MakeChannel, days: int, *, believed: bool
):
    """A mail may be fetched late, but not after the certificate's end."""
    item = corpus.later("busta-buca", corpus.received_at + timedelta(days=days))

    assert believed is ("refused" not in _read(pec_channel(), item))


async def test_attachments_come_out_of_the_wrapped_mail(
    corpus: Any, pec_channel: MakeChannel
):
    """The file that the citizen attached, not the parts of the envelope."""
    channel, item = pec_channel(), corpus.item("busta-allegato")
    message = channel.parse(item)
    assert isinstance(message, Message)
    (attachment,) = message.attachments

    pieces = [piece async for piece in channel.fetch(item.original, attachment)]

    assert b"".join(pieces).startswith(b"%PDF-1.4")


# Of a receipt that is not ours also the fields are shown, which nobody signs.
MUTATED = [
    name
    for name, row in TABLE.items()
    if "lf" not in name and ("receipt" in row or "flags" in row)
]


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(MUTATED),
    change=st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)),
)
def test_mutations_are_refused_or_read_as_before(
    corpus: Any,
    pec_channel: MakeChannel,
    name: str,
    change: tuple[float, int, bytes],
):
    """No change makes of a mail another genuine one, nor anything but an error."""
    channel, item = pec_channel(), corpus.item(name)
    raw, (at, cut, put) = item.original.body, change
    place = int(at * len(raw))
    changed = corpus.wrap(raw[:place] + put + raw[place + cut :])

    before, after = _read(channel, item), _read(channel, changed)

    if "refused" not in after and set(after.get("flags", [])) != {"pec_ordinary"}:
        assert before == after


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(signature=st.binary(max_size=300))
def test_any_signature_is_an_error(
    corpus: Any, pec_channel: MakeChannel, signature: bytes
):
    """Broken structures of ASN.1 end in a refusal."""
    head, _, tail = _around_signature(corpus, "ricevuta-accettazione")
    forged = head + b64encode(signature) + tail

    assert {"refused"} == set(_read(pec_channel(), corpus.wrap(forged)))


def test_unknown_kind_of_key_is_a_refusal(corpus: Any, pec_channel: MakeChannel):
    """A certificate may name an algorithm that no library has heard of."""
    ec_key, unknown = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("3f8648ce3d0201")
    head, signature, tail = _around_signature(corpus, "busta-html")
    forged = b64decode(signature).replace(ec_key, unknown)

    found = _read(pec_channel(), corpus.wrap(head + b64encode(forged) + tail))

    assert {"refused"} == set(found)


def _around_signature(corpus: Any, item: str) -> tuple[bytes, bytes, bytes]:
    """Return a mail's octets before its signature, the signature, and the rest."""
    raw = corpus.item(item).original.body
    name = b'filename="smime.p7s"\r\n\r\n'
    head, _, rest = raw.partition(name)
    end = rest.index(b"\r\n\r\n--")
    return head + name, rest[:end], rest[end:]
