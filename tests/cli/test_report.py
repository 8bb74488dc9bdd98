"""``gateway report``: tables, CSV, a page, open data."""

from __future__ import annotations

import csv
import io
from collections import Counter
from html.parser import HTMLParser

import pytest
from test_daemon import PROBE, run

from gateway.cli.report import Report, _as_csv, _as_html
from gateway.cli.report_tables import tables_of
from gateway.cli.spreadsheet import csv_of
from gateway.figures import Figures, Spell
from gateway.texts import Texts

CONFIG = """
[gateway]
name = "Prova"
plugins = ["probe_plugin.py:ProbePlugin"]
default_service = "urp"
[channels.probe]
type = "probe"
secret = "s"
sink = "http://127.0.0.1:1/citizen"
[services.urp]
name = "URP"
connectors = [{ type = "sink", url = "http://127.0.0.1:1/urp" }]
"""
FIGURES = Figures(
    by_channel=Counter(whatsapp=3),
    by_service=Counter(urp=3),
    by_hour=Counter({9: 3}),
    verdicts=Counter({("hold", "=cmd|' /C calc'!A0"): 1}),
    answered={None: Spell(count=1, median=1.25, ninety=2.0)},
)


@pytest.fixture
def report() -> Report:
    """A report of an office whose name is no harmless one."""
    words = Texts("it")
    tables = tables_of(FIGURES, words, {"urp": "=1+1<script>alert(1)</script>"})
    return Report(
        city="Prova & Co", title="Rapporto", note="", words=words, tables=tables
    )


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+39070", "'+39070"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),  # noqa: RUF001 (the wide form is the point)
        ('a"b,c', 'a"b,c'),
        ("1=1", "1=1"),
    ],
)
def test_no_cell_becomes_a_formula(cell, written):
    """What begins a formula gets an apostrophe; the rest stays what it is."""
    text = csv_of(("x",), [(cell,)])

    assert [["x"], [written]] == list(csv.reader(io.StringIO(text, newline="")))


def test_numbers_stay_numbers():
    """A negative number is no formula."""
    assert '"x"\r\n-1.5\r\n' == csv_of(("x",), [(-1.5,)])


def test_csv_has_one_line_a_number(report):
    """Of which table, of what, which measure: easily filtered."""
    rows = list(csv.reader(io.StringIO(_as_csv(report), newline="")))

    assert ["figure", "of", "measure", "value"] == rows[0]
    assert ["Messaggi per canale", "whatsapp", "messaggi", "3"] in rows
    assert ["Tempo fino alla prima risposta", "tutti", "mediana, ore", "1.2"] in rows
    assert all(not cell.startswith("=") for row in rows for cell in row)


class Page(HTMLParser):
    """Collects the tags of a page, and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [v for k, v in attrs if k in {"src", "href"} and v]


def test_page_loads_nothing_and_runs_nothing(report):
    """Names stand as text; there is no script, and nothing from elsewhere."""
    text = _as_html(report)
    page = Page()
    page.feed(text)

    assert "script" not in page.tags
    assert [] == page.loaded
    assert "&lt;script&gt;" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert 'style="width: 100.0%"' in text
    assert '<html lang="it">' in text


def test_commands(tmp_path):
    """Beside a daemon or without: an empty city has empty figures, in every form."""
    (tmp_path / "gateway.toml").write_text(CONFIG)
    (tmp_path / "probe_plugin.py").write_bytes(PROBE.read_bytes())
    run(tmp_path, "migrate")

    table = run(tmp_path, "report", "--from", "2026-11-01", "--to", "2026-11-30")
    page = run(tmp_path, "report", "--format", "html", "--output", "r.html")
    months = ("--from", "2026-02", "--to", "2026-11")
    data = run(tmp_path, "report", "open-data", *months)
    wrong = run(tmp_path, "report", "--from", "2026-11-02", "--to", "2026-11-01")

    assert 0 == table.returncode, table.stderr
    assert "Rapporto dal 01/11/2026 al 30/11/2026" in table.stdout
    assert "Le durate sono in ore, notti e festivi compresi." in table.stdout
    assert 0 == page.returncode, page.stderr
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")
    header = "month,channel,service,district,state,days_to_answer,days_to_close"
    assert header == data.stdout.strip().replace('"', "")
    assert "0 cases; 0 left out" in data.stderr
    assert 2 == wrong.returncode
