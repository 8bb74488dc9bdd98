"""The type of an attachment comes from its content."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pure_magic_rs import MagicDb

from gateway.attachments import HEAD_BYTES, media_type_of

DATA = Path(__file__).parent / "data"
EXPECTED = list(
    csv.DictReader((DATA / "expected.tsv").read_text().splitlines(), delimiter="\t")
)
MAGIC = MagicDb()
HEADS = [(DATA / row["file"]).read_bytes()[:HEAD_BYTES] for row in EXPECTED]


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["file"])
def test_type_by_content(row):
    """Each real file is recognised by its first bytes."""
    head = (DATA / row["file"]).read_bytes()[:HEAD_BYTES]

    assert row["media_type"] == media_type_of(MAGIC, head)


def test_every_file_is_expected():
    """No sample lies about unused."""
    files = {file.name for file in DATA.iterdir()} - {"README.md", "expected.tsv"}

    assert {row["file"] for row in EXPECTED} == files


@given(st.binary(max_size=600), st.sampled_from(HEADS), st.integers(0, HEAD_BYTES))
def test_any_bytes_have_a_type(noise, head, place):
    """Mutilated files get a type, and no error."""
    kind, slash, name = media_type_of(MAGIC, head[:place] + noise).partition("/")

    assert kind
    assert slash
    assert name
