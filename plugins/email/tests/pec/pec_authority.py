"""A certification authority for tests, and the identities of providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, CertificateBuilder
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BIRTH = datetime(2020, 1, 1, tzinfo=UTC)
DOOM = datetime(2120, 1, 1, tzinfo=UTC)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key and its certificate, with the chain that a signature brings along."""

    key: PrivateKey
    certificate: Certificate
    chain: tuple[Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """Return the certificate as a trust list has it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """Return the certificate alone, in DER."""
        return self.certificate.public_bytes(Encoding.DER)


def authority(
    name: str, signed_by: Identity | None = None, domains: Sequence[str] = ()
) -> Identity:
    """Make an authority; a root if nobody signs for it.

    With ``domains`` it is confined to signers of these, as AgID's is.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, BIRTH, DOOM, issuer=signed_by)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    if domains:
        names = [x509.RFC822Name(each) for each in domains]
        confined = x509.NameConstraints(names, None)
        builder = builder.add_extension(confined, critical=False)
    signer = signed_by.key if signed_by else key
    certificate = builder.sign(signer, SHA256())
    chain = (certificate, *signed_by.chain) if signed_by else ()
    return Identity(key=key, certificate=certificate, chain=chain)


def provider(
    issuer: Identity,
    *addresses: str,
    name: str = "Gestore di prova",
    start: datetime = BIRTH,
    end: datetime = DOOM,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    bits: int = 2048,
    curve: bool = False,
) -> Identity:
    """Make the identity that signs for a provider, under its ``addresses``."""
    key: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1())
        if curve
        else rsa.generate_private_key(65537, bits)
    )
    builder = _builder(name, key, start, end, issuer=issuer)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    if addresses:
        names = x509.SubjectAlternativeName([x509.RFC822Name(a) for a in addresses])
        builder = builder.add_extension(names, critical=False)
    if purpose is not None:
        use = x509.ExtendedKeyUsage([purpose])
        builder = builder.add_extension(use, critical=False)
    certificate = builder.sign(issuer.key, SHA256())
    return Identity(key=key, certificate=certificate, chain=issuer.chain)


def _builder(
    name: str,
    key: PrivateKey,
    start: datetime,
    end: datetime,
    issuer: Identity | None,
) -> CertificateBuilder:
    subject = _name(name)
    issuer_key = issuer.key if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )


def _name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "IT"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Prova S.p.A."),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
