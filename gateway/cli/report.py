"""``gateway report``: figures for the office, and open data for everybody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection

from gateway import figures, open_data, people, texts
from gateway.calendars import hours_of
from gateway.cli.opened import read_by
from gateway.cli.output import DEFAULT_CONFIG, ConfigOption, show
from gateway.cli.report_tables import Table, tables_of
from gateway.cli.spreadsheet import csv_of
from gateway.figures import Period
from gateway.open_data import OpenData, Row
from gateway.setup import Setup
from gateway.texts import Texts

app = typer.Typer(
    invoke_without_command=True, help="Figures for the office, and open data."
)


class Format(StrEnum):
    """How figures are written."""

    TABLE = "table"
    CSV = "csv"
    HTML = "html"


_DAY, _MONTH = "%Y-%m-%d", "%Y-%m"
_DAY_LONG = timedelta(days=1)

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write to.")
]


@app.callback()
def report(  # noqa: PLR0913 (one parameter an option)
    context: typer.Context,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=[_DAY], help="First day; else of this month."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=[_DAY], help="Last day; today if not given."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    as_: Annotated[Format, typer.Option("--format", help="How.")] = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Count messages and cases, and measure how long they took, in working hours."""
    if context.invoked_subcommand is not None:
        return

    def work(setup: Setup) -> Callable[[Connection], Report]:
        period = _period(setup, first, last)
        return lambda connection: _report(connection, setup, period)

    if as_ is Format.TABLE and output is not None:
        raise typer.BadParameter("into a file: --format csv or html")
    found = read_by(config, work)
    if as_ is Format.TABLE:
        _print(found)
    else:
        _write(_as_csv(found) if as_ is Format.CSV else _as_html(found), output)


@app.command("open-data")
def open_data_(
    first: Annotated[
        datetime, typer.Option("--from", formats=[_MONTH], help="First month.")
    ],
    last: Annotated[
        datetime, typer.Option("--to", formats=[_MONTH], help="Last month.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    least: Annotated[
        int, typer.Option(min=3, help="So many people's cases are alike at least.")
    ] = 10,
    output: OutputOption = None,
) -> None:
    """Write the cases of whole months as CSV, in which nobody can be recognised."""
    if last < first:
        raise typer.BadParameter("the last month comes before the first")
    until = (last.replace(day=1) + timedelta(days=31)).replace(day=1)

    def work(setup: Setup) -> Callable[[Connection], OpenData]:
        zone = ZoneInfo(setup.settings.gateway.timezone)
        period = Period(
            start=first.replace(tzinfo=zone),
            end=until.replace(tzinfo=zone),
            timezone=zone,
        )
        return lambda connection: open_data.anonymous(
            _rows(connection, period, zone), least
        )

    found = read_by(config, work)
    header = [field.name for field in fields(Row)]
    _write(csv_of(header, map(astuple, found.rows)), output)
    typer.echo(
        f"{len(found.rows)} cases; {found.left_out} left out as too rare", err=True
    )


def _rows(
    connection: Connection, period: Period, zone: ZoneInfo
) -> Iterator[tuple[Row, str]]:
    """Yield what is told of each case, and whose it is: told to nobody."""
    merged = people.merged(connection)
    for course in figures.courses(connection, period, bodies=True):
        whose = merged.get(course.contact_id, course.contact_id)
        yield open_data.row_of(course, zone), whose


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tables with their title, in the language of the city."""

    city: str
    title: str
    note: str
    words: Texts
    tables: Sequence[Table]


def _period(setup: Setup, first: datetime | None, last: datetime | None) -> Period:
    zone = ZoneInfo(setup.settings.gateway.timezone)
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    end = today if last is None else last.replace(tzinfo=zone)
    start = end.replace(day=1) if first is None else first.replace(tzinfo=zone)
    if end < start:
        raise typer.BadParameter("the last day comes before the first")
    return Period(start=start, end=end + _DAY_LONG, timezone=zone)


def _report(connection: Connection, setup: Setup, period: Period) -> Report:
    settings = setup.settings
    words = Texts(settings.gateway.language)
    hours = hours_of(settings)
    found = figures.read(connection, period, hours)
    measure = texts.REPORT_WORKING if hours else texts.REPORT_PLAIN
    names = {str(key): service.name for key, service in settings.services.items()}
    return Report(
        city=settings.gateway.name,
        title=words.say(
            texts.REPORT_TITLE, start=period.start, end=period.end - _DAY_LONG
        ),
        note=f"{words.say(measure)} {words.say(texts.REPORT_NOTE)}",
        words=words,
        tables=tables_of(found, words, names),
    )


def _print(found: Report) -> None:
    say = found.words.say
    typer.echo(f"{found.title}\n{found.note}")
    for table in found.tables:
        typer.echo(f"\n{table.title}")
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        show(rows, as_json=False, empty=say(texts.REPORT_NOTHING))


def _as_csv(found: Report) -> str:
    """Return one line a number: of which table, of what, which measure."""
    rows = [
        (table.title, row[0], measure, number)
        for table in found.tables
        for row in table.rows
        for measure, number in zip(table.columns[1:], row[1:], strict=True)
    ]
    return csv_of(("figure", "of", "measure", "value"), rows)


def _as_html(found: Report) -> str:
    import jinja2  # noqa: PLC0415 (only the page needs it)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    say = found.words.say
    return environment.get_template("report.html").render(
        language=found.words.language,
        city=found.city,
        title=found.title,
        note=found.note,
        nothing=say(texts.REPORT_NOTHING),
        tables=found.tables,
    )


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8", newline="")
