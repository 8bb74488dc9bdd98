"""``gateway routing train | evaluate | explain``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from gateway.commands import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    CommandGroup,
    ConfigOption,
    Desk,
    JsonOption,
)
from gateway.errors import PluginError
from gateway.model import ServiceId
from gateway_routing.config import MIN_CONFIDENCE, RoutingConfig
from gateway_routing.evaluating import Evaluator, parted
from gateway_routing.report import Report
from gateway_routing.router import Router, Step
from gateway_routing.samples import Sample, read_csv, said

if TYPE_CHECKING:
    from types import ModuleType

    from gateway_routing.measures import Measured

MakeRouter = Callable[[RoutingConfig, Collection[ServiceId]], Router]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--from-csv",
        help="Samples (columns service and text) instead of the decided cases.",
        exists=True,
        dir_okay=False,
    ),
]


def register(group: CommandGroup, make_router: MakeRouter) -> None:
    """Add the commands to ``group``."""

    @group.app.callback()
    def about() -> None:
        """Routing: train a model on decided cases, evaluate it, explain its answers."""

    _add_train(group)
    _add_evaluate(group, make_router)
    _add_explain(group, make_router)


def _add_train(group: CommandGroup) -> None:
    @group.app.command()
    def train(
        config: ConfigOption = DEFAULT_CONFIG,
        *,
        from_csv: CsvOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Learn from the decided cases; write the model to its file.

        Restart the daemon to use it.
        """
        desk = group.open(config)
        if desk.config.model is None:
            raise PluginError(
                f"{config}: found no [plugins.routing.model]; wanted one with file ="
            )
        made = _training().train(_samples(desk, from_csv), datetime.now(UTC))
        made.model.save(desk.config.model.file)
        _say_left_out(made.left_out)
        _show(group, made.measured, desk.config.model.min_confidence, as_json=as_json)


def _add_evaluate(group: CommandGroup, make_router: MakeRouter) -> None:
    @group.app.command()
    def evaluate(
        config: ConfigOption = DEFAULT_CONFIG,
        *,
        from_csv: CsvOption = None,
        cross: Annotated[
            bool, typer.Option(help="Train anew on four fifths, ask the rest, in turn.")
        ] = False,
        least: Annotated[
            float, typer.Option("--min", min=0, max=1, help="Exit 1 if top-1 is lower.")
        ] = 0.0,
        as_json: JsonOption = False,
    ) -> None:
        """Measure all layers by reports whose service is known.

        Of decided cases that the model may have learnt from it is trained anew without
        them. A file of samples that it has learnt from flatters it: give --cross.
        """
        desk = group.open(config)
        samples = _samples(desk, from_csv)
        if not samples:
            raise PluginError(
                "found no samples; wanted decided cases, or a file of them"
            )
        layers = desk.config
        if cross:
            layers = layers.model_copy(update={"model": None})
            old, new = samples, list[Sample]()
        else:
            old, new = _parted(layers, samples, from_csv)
        router = make_router(layers, desk.services)
        evaluator = Evaluator(router, layers, desk.default_service)
        judged = evaluator.ask(new)
        if old:
            crossed = _training().crossed(old, datetime.now(UTC))
            judged += evaluator.ask_crosswise(crossed, _threshold(desk.config))
        report = Report.of(judged, crossed=len(old))
        report.show(group, as_json=as_json)
        if report.top1 < least:
            raise typer.Exit(EXIT_FAILED)


def _threshold(config: RoutingConfig) -> float:
    return config.model.min_confidence if config.model else MIN_CONFIDENCE


def _parted(
    config: RoutingConfig, samples: list[Sample], from_csv: Path | None
) -> tuple[list[Sample], list[Sample]]:
    """Return the decided cases that the model may have learnt from, and all others."""
    if config.model is None or from_csv is not None:
        return [], samples
    from gateway_routing.model import Model  # noqa: PLC0415 (numpy)

    about = Model.load(config.model.file).about
    return parted(samples, datetime.fromisoformat(about.trained_at))


def _add_explain(group: CommandGroup, make_router: MakeRouter) -> None:
    @group.app.command()
    def explain(
        text: Annotated[str, typer.Argument(help="A text, or the id of a message.")],
        config: ConfigOption = DEFAULT_CONFIG,
        *,
        channel: Annotated[
            str, typer.Option(help="Channel by which the text comes.")
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Say what each layer makes of a text or a stored message, and why."""
        desk = group.open(config)
        router = make_router(desk.config, desk.services)
        message = desk.message(text) if _ID.fullmatch(text) else said(text, channel)
        rows, decided = [], False
        for step in router.steps(message):
            decides = step.decides and not decided
            decided = decided or step.decides
            rows.append(_row(step, message.text, decides=decides))
        if not decided:
            rows.append({**_NOTHING, "layer": "default service", "decides": True})
        group.show(rows, as_json=as_json, empty="no layer is configured")


_NOTHING: dict[str, Any] = {
    "layer": "",
    "decides": False,
    "service": "",
    "confidence": None,
    "why": "",
    "others": "",
}


def _row(step: Step, text: str, *, decides: bool) -> dict[str, Any]:
    row = {**_NOTHING, "layer": step.layer, "decides": decides}
    found = step.says
    if found is None or found.grounds is None:
        return row
    grounds = found.grounds
    weighed = [f"{text[c.start : c.end]} {c.weight:g}" for c in grounds.clues]
    parts = [grounds.rule, ", ".join(weighed), *grounds.conditions]
    others = [f"{each.service} {each.score:.3g}" for each in grounds.alternatives]
    return {
        **row,
        "service": found.service,
        "confidence": round(found.confidence, 3),
        "why": "; ".join(part for part in parts if part),
        "others": ", ".join(others),
    }


def _training() -> ModuleType:
    try:
        from gateway_routing import training  # noqa: PLC0415 (a second, 100 MB)
    except ImportError as error:
        raise PluginError(
            f"{error}: pip install 'municipal-gateway-routing[training]'"
        ) from None
    return training


def _samples(desk: Desk, file: Path | None) -> list[Sample]:
    """Return the samples of a file, or the decided cases of today's services."""
    if file is not None:
        return read_csv(file, desk.services)
    known = frozenset(desk.services)
    return [
        Sample(each.service, each.text, each.message)
        for each in desk.decided()
        if each.service in known
    ]


def _say_left_out(services: Sequence[str]) -> None:
    if services:
        names = ", ".join(services)
        typer.echo(f"too few samples to learn: {names}", err=True)


def _show(
    group: CommandGroup, measured: Measured, threshold: float, *, as_json: bool
) -> None:
    """Print figures: of the whole, then of each service."""
    share, right = measured.covered(threshold)
    whole = {
        "samples": len(measured.right),
        **measured.summary(),
        "min_confidence": threshold,
        "covered": round(share, 4),
        "covered_right": round(right, 4),
    }
    services = [
        {
            "service": each.service,
            "samples": each.samples,
            "precision": round(each.precision, 3),
            "recall": round(each.recall, 3),
            "f1": round(each.f1, 3),
        }
        for each in measured.services
    ]
    if as_json:
        report = {**whole, "services": services}
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    group.show([whole], as_json=False, empty="")
    typer.echo()
    group.show(services, as_json=False, empty="")
