"""The figures as tables with titles, in the language of the city."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway import texts
from gateway.figures import AGES, Figures, Spell
from gateway.texts import Texts

_MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001 (any Monday, for the names of the days)

Cell = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of figures: the first column says of what, the others how much."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def most(self) -> float:
        """Return the largest number of the first column of numbers."""
        return max((float(row[1]) for row in self.rows), default=0.0)


def tables_of(
    figures: Figures, words: Texts, services: Mapping[str, str]
) -> list[Table]:
    """Return all the tables; ``services`` are the names of the offices."""
    say = words.say
    messages, cases = say(texts.REPORT_MESSAGES), say(texts.REPORT_CASES)
    days = [words.weekday(_MONDAY + timedelta(days=day)) for day in range(7)]

    def named(found: Counter[str]) -> Counter[str]:
        return Counter({services.get(key, key): n for key, n in found.items()})

    def counts(title: str, found: Counter[str], unit: str) -> Table:
        rows = found.most_common()
        return Table(title=say(title), columns=("", unit), rows=tuple(rows))

    def row_each(title: str, names: Sequence[str], found: Counter[int]) -> Table:
        rows = [(name, found[number]) for number, name in enumerate(names)]
        return Table(title=say(title), columns=("", messages), rows=tuple(rows))

    def spells(title: str, found: Mapping[str | None, Spell]) -> Table:
        offices = {
            say(texts.REPORT_ALL) if key is None else services.get(key, key): spell
            for key, spell in sorted(found.items(), key=lambda each: each[0] or "")
        }
        return Table(
            title=say(title),
            columns=("", say(texts.REPORT_MEDIAN), say(texts.REPORT_NINETY), cases),
            rows=tuple(
                (name, round(each.median, 1), round(each.ninety, 1), each.count)
                for name, each in offices.items()
            ),
        )

    return [
        counts(texts.REPORT_CHANNELS, figures.by_channel, messages),
        counts(texts.REPORT_SERVICES, named(figures.by_service), messages),
        row_each(texts.REPORT_HOURS, [f"{n}:00" for n in range(24)], figures.by_hour),
        row_each(texts.REPORT_WEEKDAYS, days, figures.by_weekday),
        counts(texts.REPORT_OPENED, named(figures.opened), cases),
        spells(texts.REPORT_ANSWERED, figures.answered),
        spells(texts.REPORT_CLOSED, figures.closed),
        _backlog(figures, words, services),
        counts(texts.REPORT_STATES, figures.by_state, messages),
        counts(
            texts.REPORT_VERDICTS,
            Counter({f"{a}, {rule}": n for (a, rule), n in figures.verdicts.items()}),
            messages,
        ),
    ]


def _backlog(figures: Figures, words: Texts, services: Mapping[str, str]) -> Table:
    ages = (*AGES, math.inf)
    names = [
        words.say(texts.REPORT_OLDER, days=AGES[-1])
        if age == math.inf
        else words.say(texts.REPORT_YOUNGER, days=age)
        for age in ages
    ]
    offices = sorted({service for service, _ in figures.backlog})
    whole = [(s, [figures.backlog[s, age] for age in ages]) for s in offices]
    return Table(
        title=words.say(texts.REPORT_BACKLOG),
        columns=("", words.say(texts.REPORT_CASES), *names),
        rows=tuple((services.get(s, s), sum(each), *each) for s, each in whole),
    )
