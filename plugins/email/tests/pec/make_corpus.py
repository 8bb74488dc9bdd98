"""Makes the corpus anew: ``python make_corpus.py FOLDER``.

Its authorities and providers are made for it, and their keys thrown away at the end.
``expected.toml`` is written by hand: nothing here knows how a mail is to be read.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7Options,
    PKCS7SignatureBuilder,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from pec_authority import Identity, authority, provider
from pec_papers import Certificate, Paper, sign

MAILS = Path(__file__).parent / "mails"
ONE, TWO = "pec.gestore-uno.test", "pec.gestore-due.test"
SIGNER_ONE, SIGNER_TWO = f"posta-certificata@{ONE}", f"posta-certificata@{TWO}"
US, MARIA = "urp@pec.comune.test", "maria@pec.cittadini.test"
OURS = "<0198f2a4-7c1e-7b3a-9d55-0123456789ab@comune.test>"
CITIZENS = "<SN05IE.1@pec.cittadini.test>"
NOW = datetime.now(UTC).replace(microsecond=0)
DOCTYPE = '<!DOCTYPE postacert SYSTEM "Postacert.dtd">'
LAUGHS = (
    '<!DOCTYPE postacert [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;">]>'
)
OUTSIDE = '<!DOCTYPE postacert [<!ENTITY x SYSTEM "file:///etc/passwd">]>'

Change = Callable[[bytes], bytes]


def mail(name: str) -> bytes:
    """Return a mail as it goes over the line."""
    return (MAILS / f"{name}.eml").read_bytes().replace(b"\n", b"\r\n")


class Corpus:
    """Writes the files of a folder, numbering what providers number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.root = authority("AC di prova")
        middle = authority("AC intermedia di prova", self.root)
        self.one = provider(self.root, SIGNER_ONE)
        self.two = provider(middle, SIGNER_TWO, curve=True)
        self.alone = provider(
            authority("AC che nessuno conosce"), "posta-certificata@pec.solo.test"
        )
        stranger = authority("AC di uno sconosciuto")
        self.stranger = provider(stranger, SIGNER_ONE)
        soon = NOW + timedelta(days=365)
        past = datetime(2021, 1, 1, tzinfo=UTC)
        self.expired = provider(self.root, SIGNER_ONE, end=past)
        self.unborn = provider(self.root, SIGNER_ONE, start=soon)
        self.small = provider(self.root, SIGNER_ONE, bits=1024)
        self.nameless = provider(self.root)
        code = ExtendedKeyUsageOID.CODE_SIGNING
        self.unfit = provider(self.root, SIGNER_ONE, purpose=code)
        self.person = provider(self.root, "maria@pec.gestore-uno.test")
        self.many = provider(self.root, SIGNER_TWO, SIGNER_ONE)

    def write(self, name: str, octets: bytes) -> None:
        """Write a file."""
        (self.folder / f"{name}.eml").write_bytes(octets)

    def identifier(self, domain: str = ONE) -> str:
        """Return an id as a provider makes it."""
        self.count += 1
        return f"<opec.{self.count:04}.20261126@{domain}>"

    def envelope(self, inner: str = "buca", **changes: Any) -> Paper:
        """Return what a citizen wrote, wrapped by the provider."""
        known = {"msgid", "recipients", "doctype", "xml_sender"}
        told = {key: changes.pop(key) for key in known & set(changes)}
        identifier = self.identifier(TWO)
        certificate = Certificate(
            kind="posta-certificata",
            sender=told.get("xml_sender", MARIA),
            recipients=told.get("recipients", {US: "certificato"}),
            subject="Buca in via Roma",
            at=NOW,
            identifier=identifier,
            message_id=told.get("msgid", CITIZENS),
            receipt="completa",
            doctype=told.get("doctype", ""),
        )
        paper = Paper(
            sender=SIGNER_TWO,
            display=f"Per conto di: {MARIA}",
            to=US,
            certificate=certificate,
            at=NOW,
            identifier=identifier,
            subject="Buca in via Roma",
            transport="posta-certificata",
            reference=CITIZENS,
            mail=mail(inner),
        )
        return replace(paper, **changes)

    def receipt(self, kind: str, **told: Any) -> Paper:
        """Return a provider's word on a mail of ours."""
        ours = kind in {"accettazione", "non-accettazione"}
        signer = SIGNER_ONE if ours else SIGNER_TWO
        identifier = told.pop("identifier", "<opec.77@pec.gestore-uno.test>")
        paper = {
            key: told.pop(key)
            for key in ("mail", "header", "reference", "sender")
            if key in told
        }
        values = {
            "kind": kind,
            "sender": US,
            "recipients": {MARIA: "certificato"},
            "subject": "[URP-2026-000123] Risposta",
            "at": NOW,
            "identifier": identifier,
            "message_id": OURS,
            **told,
        }
        if "xml_sender" in values:
            values["sender"] = values.pop("xml_sender")
        return Paper(
            sender=paper.get("sender", signer),
            to=US,
            certificate=Certificate(**values),
            at=NOW,
            identifier=self.identifier(signer.partition("@")[2]),
            subject="[URP-2026-000123] Risposta",
            receipt=paper.get("header", kind),
            reference=paper.get("reference", OURS),
            mail=mail(paper["mail"]) if "mail" in paper else None,
        )

    def by(self, paper: Paper) -> bytes:
        """Return a paper signed by the provider that it comes from."""
        return paper.signed_by(self.one if paper.sender == SIGNER_ONE else self.two)

    def changed(self, paper: Paper, change: Change, identity: Identity) -> bytes:
        """Return a paper whose content was changed before it was signed."""
        content = change(paper.content())
        return paper.with_signature(content, sign(content, identity))


def envelopes(c: Corpus) -> None:
    """Write what is genuine."""
    for name in ("buca", "html", "allegato", "latin1", "risposta", "maiuscole"):
        c.write(f"busta-{name}", c.by(c.envelope(name)))
    for name in ("falsa-ricevuta", "falsa-busta", "assente", "inoltrata", "firmata"):
        c.write(f"busta-{name}", c.by(c.envelope(name)))
    c.write("busta-doctype", c.by(c.envelope(doctype=DOCTYPE)))
    both = {"sindaco@pec.altro.test": "certificato", US: "certificato"}
    c.write("busta-due-destinatari", c.by(c.envelope(recipients=both)))
    alias = {"protocollo@pec.comune.test": "certificato"}
    c.write("busta-alias", c.by(c.envelope(recipients=alias)))
    c.write("busta-esterno", c.by(c.envelope(recipients={US: "esterno"})))
    c.write("busta-senza-msgid", c.by(c.envelope(msgid="")))
    c.write("busta-riferimento-nostro", c.by(c.envelope(reference=OURS)))
    c.write("busta-lf", c.by(c.envelope()).replace(b"\r\n", b"\n"))
    alone = c.envelope(sender="posta-certificata@pec.solo.test")
    c.write("busta-gestore-in-elenco", alone.signed_by(c.alone))
    c.write("busta-due-indirizzi-del-gestore", c.envelope().signed_by(c.many))
    around = c.by(c.envelope())
    around = around.replace(
        b"This is an S/MIME signed message", b"X-Ricevuta: accettazione"
    )
    c.write("busta-parole-intorno", around + b"X-Trasporto: errore\r\n")
    modern = c.by(c.envelope())
    c.write("busta-tipo-moderno", modern.replace(b"x-pkcs7-sig", b"pkcs7-sig"))
    paper = c.envelope()
    inner = base64.encodebytes(mail("buca")).replace(b"\n", b"\r\n")

    def encode(content: bytes) -> bytes:
        bare = content.replace(mail("buca"), inner)
        head = b'filename="postacert.eml"'
        return bare.replace(head, head + b"\r\nContent-Transfer-Encoding: base64")

    c.write("busta-base64", c.changed(paper, encode, c.two))


def ordinary(c: Corpus) -> None:
    """Write what nobody certifies."""
    for name in ("ordinaria", "ordinaria-propria", "assente"):
        paper = c.envelope(name, transport="errore", certificate=None, reference="")
        c.write(f"anomalia-{name}", c.by(paper))
    paper = c.envelope("ordinaria", transport="errore", certificate=None)
    c.write("anomalia-sconosciuta", replace(paper).signed_by(c.stranger))
    c.write("ordinaria", mail("ordinaria"))
    c.write("ordinaria-firmata", mail("firmata"))
    c.write(
        "ordinaria-riferimento",
        f"X-Riferimento-Message-ID: {OURS}\r\n".encode() + mail("ordinaria"),
    )


def receipts(c: Corpus) -> None:
    """Write what providers say of ours."""

    def write(name: str, kind: str, **told: Any) -> None:
        c.write(f"ricevuta-{name}", c.by(c.receipt(kind, **told)))

    write("accettazione", "accettazione")
    two = {MARIA: "certificato", "ugo@pec.cittadini.test": "certificato"}
    write("accettazione-due", "accettazione", recipients=two)
    write("accettazione-esterno", "accettazione", recipients={MARIA: "esterno"})
    mixed = {MARIA: "certificato", "luca@example.it": "esterno"}
    write("accettazione-misti", "accettazione", recipients=mixed)
    other = "<7@protocollo.test>"
    write("di-altro-programma", "accettazione", message_id=other, reference=other)
    write("di-altra-casella", "accettazione", xml_sender=MARIA)
    write("senza-msgid", "accettazione", message_id="")
    write("da-alias", "accettazione", xml_sender="protocollo@pec.comune.test")
    refused = "5.6.0 - Gestore Uno - mittente e From diversi"
    write("non-accettazione", "non-accettazione", error="altro", explanation=refused)
    virus = "5.7.1 - Gestore Uno - virus EICAR"
    write(
        "non-accettazione-virus", "non-accettazione", error="virus", explanation=virus
    )
    write("presa-in-carico", "presa-in-carico")
    for kind, inner in (
        ("completa", "nostra"),
        ("breve", "nostra-breve"),
        ("sintetica", None),
    ):
        told: dict[str, Any] = {"receipt": kind, "consigned": MARIA}
        if inner:
            told["mail"] = inner
        write(f"consegna-{kind}", "avvenuta-consegna", **told)
    write("consegna-doctype", "avvenuta-consegna", consigned=MARIA, doctype=DOCTYPE)
    unknown = "5.1.1 - Gestore Due S.p.A. - indirizzo non valido"
    write(
        "errore-altro",
        "errore-consegna",
        error="altro",
        consigned=MARIA,
        explanation=unknown,
    )
    write("errore-no-dest", "errore-consegna", error="no-dest", consigned=MARIA)
    write(
        "errore-no-dominio",
        "errore-consegna",
        error="no-dominio",
        consigned=MARIA,
        explanation="5.1.2 - Gestore Due S.p.A. - dominio inesistente",
    )
    write(
        "errore-virus",
        "errore-consegna",
        error="virus",
        consigned=MARIA,
        explanation=virus,
    )
    write(
        "errore-tempo",
        "errore-consegna",
        error="altro",
        consigned=MARIA,
        explanation="5.4.7 - Gestore Due - superamento del tempo massimo (24 ore)",
    )
    write(
        "errore-con-indirizzo",
        "errore-consegna",
        error="altro",
        consigned=MARIA,
        explanation=f"5.2.2 - casella {MARIA} piena",
    )
    late = "5.4.7 - Gestore Due - superamento di 12 ore"
    write(
        "preavviso",
        "preavviso-errore-consegna",
        error="altro",
        consigned=MARIA,
        explanation=late,
    )
    write(
        "preavviso-541",
        "preavviso-errore-consegna",
        error="altro",
        consigned=MARIA,
        explanation="5.4.1 - Gestore Due - nessuna risposta",
    )
    write(
        "rilevazione-virus",
        "rilevazione-virus",
        error="virus",
        consigned=MARIA,
        explanation=virus,
    )


def forged(c: Corpus) -> None:
    """Write what is not to be believed."""

    def write(name: str, octets: bytes) -> None:
        c.write(f"falsa-{name}", octets)

    receipt = c.receipt("avvenuta-consegna", consigned=MARIA)
    good = c.by(receipt)
    head = f"X-Ricevuta: avvenuta-consegna\r\nX-Riferimento-Message-ID: {OURS}\r\n"
    write("senza-firma", head.encode() + mail("ordinaria"))
    write("busta-senza-firma", b"X-Trasporto: posta-certificata\r\n" + mail("buca"))
    write("alterata", good.replace("è stato consegnato".encode("iso-8859-1"), b"forse"))
    write("alterata-una-virgola", good.replace(b"Oggetto", b"oggetto", 1))
    write("alterato-daticert", _with_daticert(receipt, good, _to_ugo))
    for name, identity in (
        ("sconosciuto", c.stranger),
        ("scaduta", c.expired),
        ("futura", c.unborn),
        ("chiave-corta", c.small),
        ("senza-indirizzo", c.nameless),
        ("altro-uso", c.unfit),
        ("altro-gestore", c.two),
    ):
        paper = c.receipt("accettazione")
        write(name, paper.signed_by(identity))
    person = c.receipt("accettazione", sender="maria@pec.gestore-uno.test")
    write("firmata-da-persona", person.signed_by(c.person))
    display = good.replace(
        f"From: {SIGNER_TWO}".encode(),
        f"From: {SIGNER_TWO} <evil@example.it>".encode(),
    )
    write("due-mittenti", display)
    write("firma-vuota", receipt.with_signature(receipt.content(), b""))
    write("firma-rotta", receipt.with_signature(receipt.content(), b"\x30\x80" * 50))
    other = sign(c.receipt("accettazione").content(), c.two)
    write("firma-d-altro", receipt.with_signature(receipt.content(), other))
    content = receipt.content()
    builder = PKCS7SignatureBuilder().set_data(content)
    builder = builder.add_signer(c.two.certificate, c.two.key, hashes.SHA256())
    whole = builder.sign(Encoding.DER, [PKCS7Options.Binary])
    write("firma-col-contenuto", receipt.with_signature(content, whole))
    double = builder.add_signer(c.one.certificate, c.one.key, hashes.SHA256())
    both = double.sign(
        Encoding.DER, [PKCS7Options.Binary, PKCS7Options.DetachedSignature]
    )
    write("due-firme", receipt.with_signature(content, both))
    one = c.receipt("accettazione")
    write("sha1", one.with_signature(one.content(), by_sha1(one.content(), c.one)))
    write("non-chiusa", good.rpartition(b"\r\n--")[0])
    boundary = good.partition(b'boundary="')[2].partition(b'"')[0]
    third = b"--" + boundary + b"\r\nContent-Type: text/plain\r\n\r\nciao\r\n"
    end = b"--" + boundary + b"--"
    write("tre-parti", good.replace(end, third + end))
    signature = b"--" + boundary + b"\r\nContent-Type: application/x-pkcs7-signature"
    write("una-parte", good.partition(signature)[0] + end)


def broken(c: Corpus) -> None:
    """Write what is signed, and all the same not to be believed or read."""

    def write(name: str, octets: bytes) -> None:
        c.write(f"rotta-{name}", octets)

    write("tipi-diversi", c.by(c.receipt("accettazione", header="avvenuta-consegna")))
    paper = replace(c.receipt("accettazione"), transport="posta-certificata")
    write("ricevuta-come-busta", c.by(paper))
    strange = replace(
        c.envelope(),
        transport="posta-certificata",
        extra=[("X-Ricevuta", "avvenuta-consegna")],
    )
    c.write("busta-con-x-ricevuta", c.by(strange))
    write("mittente-diverso", c.by(c.envelope("altro-mittente")))
    write(
        "non-per-noi", c.by(c.envelope(recipients={"x@pec.altro.test": "certificato"}))
    )
    write("entita", c.by(c.receipt("accettazione", doctype=LAUGHS)))
    write("entita-esterna", c.by(c.receipt("accettazione", doctype=OUTSIDE)))

    def rewritten(change: Change) -> bytes:
        """Sign a receipt with another daticert.xml."""
        paper = c.receipt("accettazione")
        return c.changed(paper, lambda s: _with_daticert(paper, s, change), c.one)

    write(
        "profonda",
        rewritten(
            lambda xml: xml.replace(
                b"<dati>", b"<dati>" + b"<x>" * 5000 + b"</x>" * 5000
            )
        ),
    )
    write(
        "senza-data",
        rewritten(
            lambda xml: xml.replace(b"<giorno>", b"<mese>").replace(
                b"</giorno>", b"</mese>"
            )
        ),
    )
    write("senza-zona", rewritten(lambda xml: xml.replace(b"zona=", b"fuso=")))
    write(
        "data-impossibile",
        rewritten(lambda xml: xml.replace(f"{NOW:%d/%m}".encode(), b"31/02")),
    )
    write(
        "senza-identificativo",
        rewritten(lambda xml: xml.replace(b"identificativo", b"codice")),
    )
    write("senza-mittente", rewritten(lambda xml: xml.replace(b"mittente", b"autore")))
    write("altro-xml", rewritten(lambda _: b"<html><body>ciao</body></html>"))
    write("non-xml", rewritten(lambda _: b"ciao"))
    write("xml-troncato", rewritten(lambda xml: xml[:200]))
    write("senza-daticert", c.by(replace(c.receipt("accettazione"), certificate=None)))
    two = c.envelope()
    write(
        "due-daticert", c.changed(two, lambda s: _doubled(s, b"application/xml"), c.two)
    )
    write(
        "due-messaggi", c.changed(two, lambda s: _doubled(s, b"message/rfc822"), c.two)
    )
    write("senza-messaggio", c.by(replace(c.envelope(), mail=None)))
    new = replace(c.envelope(), extra=[])
    octets = c.by(new).replace(
        b"X-Trasporto: posta-certificata", b"X-Trasporto: raccomandata"
    )
    write("trasporto-ignoto", octets)


def _with_daticert(paper: Paper, octets: bytes, change: Change) -> bytes:
    """Return a paper's octets with another daticert.xml in them."""
    assert paper.certificate
    before = base64.b64encode(paper.certificate.xml())
    lines = b"\r\n".join(before[at : at + 76] for at in range(0, len(before), 76))
    after = base64.encodebytes(change(paper.certificate.xml()))
    assert lines in octets
    return octets.replace(lines, after.replace(b"\n", b"\r\n").strip())


def _to_ugo(xml: bytes) -> bytes:
    return xml.replace(b"<consegna>maria@", b"<consegna>ugo@")


def _doubled(content: bytes, media_type: bytes) -> bytes:
    """Return a content in which the part of a type is there twice."""
    boundary = content.partition(b'boundary="')[2].partition(b'"')[0]
    pieces = content.split(b"--" + boundary)
    again = next(
        each for each in pieces[1:] if media_type in each.split(b"\r\n\r\n")[0]
    )
    return (b"--" + boundary).join([*pieces[:-1], again, pieces[-1]])


def by_sha1(content: bytes, identity: Identity) -> bytes:
    """Return a signature by SHA-1, which `cryptography` makes no more."""
    digest = hashes.Hash(hashes.SHA1())  # noqa: S303
    digest.update(content)
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest.finalize()]}),
        ]
    )
    signature = identity.key.sign(  # type: ignore[call-arg, arg-type]
        attributes.dump(),
        padding.PKCS1v15(),
        hashes.SHA1(),  # noqa: S303
    )
    certificate = asn1_x509.Certificate.load(identity.der)
    sha1 = algos.DigestAlgorithm({"algorithm": "sha1"})
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                cms.IssuerAndSerialNumber(
                    {
                        "issuer": certificate.issuer,
                        "serial_number": certificate.serial_number,
                    }
                ),
            ),
            "digest_algorithm": sha1,
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha1_rsa"},
            "signature": core.OctetString(signature),
        }
    )
    data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [sha1],
            "encap_content_info": {"content_type": "data"},
            "certificates": [certificate],
            "signer_infos": [signer],
        }
    )
    whole: bytes = cms.ContentInfo(
        {"content_type": "signed_data", "content": data}
    ).dump()
    return whole


def main(folder: Path) -> None:
    """Write corpus and trust list."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.eml"):
        old.unlink()
    corpus = Corpus(folder)
    for part in (envelopes, ordinary, receipts, forged, broken):
        part(corpus)
    (folder / "trust.pem").write_bytes(corpus.root.pem + corpus.alone.pem)
    (folder / "received_at.txt").write_text(f"{NOW.isoformat()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
