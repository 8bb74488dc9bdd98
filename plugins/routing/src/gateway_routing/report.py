"""What ``gateway routing evaluate`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import typer

from gateway.commands import CommandGroup
from gateway_routing.judging import (
    Bin,
    Judged,
    LayerFigures,
    by_layer,
    calibration,
    error,
)
from gateway_routing.services import ServiceFigures, of_services


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures of the whole, of each layer, each service, each confidence.

    ``cross_validated``: so many were asked of models trained anew without them.
    """

    reports: int
    cross_validated: int
    top1: float
    top3: float
    macro_f1: float
    ece: float | None
    layers: Sequence[LayerFigures]
    services: Sequence[ServiceFigures]
    calibration: Sequence[Bin]

    @classmethod
    def of(cls, judged: Sequence[Judged], *, crossed: int) -> Report:
        """Count what was judged, which must be something."""
        services = of_services(
            [each.truth for each in judged], [each.decided.service for each in judged]
        )
        return cls(
            reports=len(judged),
            cross_validated=crossed,
            top1=sum(each.right for each in judged) / len(judged),
            top3=sum(each.among_first for each in judged) / len(judged),
            macro_f1=sum(each.f1 for each in services) / len(services),
            ece=error(judged),
            layers=by_layer(judged),
            services=services,
            calibration=calibration(judged),
        )

    def show(self, group: CommandGroup, *, as_json: bool) -> None:
        """Print it: the whole, the layers, the services, the confidences."""
        whole = _rounded(self)
        tables = [whole.pop(name) for name in ("layers", "services", "calibration")]
        if as_json:
            text = orjson.dumps(_rounded(self), option=orjson.OPT_INDENT_2).decode()
            typer.echo(text)
            return
        for rows in ([whole], *tables):
            if rows:
                group.show(rows, as_json=False, empty="")
                typer.echo()


def _rounded(report: Report) -> dict[str, Any]:
    whole = asdict(report)
    tables = {k: v for k, v in whole.items() if isinstance(v, list | tuple)}
    return {
        **{name: _short(value) for name, value in whole.items() if name not in tables},
        **{
            name: [{k: _short(v) for k, v in row.items()} for row in rows]
            for name, rows in tables.items()
        },
    }


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
