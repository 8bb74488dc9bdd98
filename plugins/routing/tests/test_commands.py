"""``gateway routing``: train, evaluate, explain."""

import json
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from gateway_routing import RoutingConfig, commands, make_router
from gateway_routing.samples import Sample, read_csv, said
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.commands import Decided
from gateway.errors import NotFound, PluginError
from gateway.store.migrate import prepare

DATA = Path(__file__).parent / "data"
HELDOUT = str(DATA / "citizens-heldout.tsv")


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    """The command line, beside a configuration with a model."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / "city.toml", "gateway.toml")
    (tmp_path / "data").mkdir()
    prepare(f"sqlite:///{tmp_path}/data/gateway.db")

    def call(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["routing", *words], terminal_width=200)
        if isinstance(result.exception, Exception):
            raise result.exception
        assert code == result.exit_code, result.output
        return result.output

    return call


@pytest.fixture
def learnt(gateway, model_file):
    """The same, with the model in place."""
    shutil.copy(model_file, "routing.npz")
    return gateway


def test_train_writes_the_model(gateway, tmp_path):
    """The figures are those of cross-validation."""
    file = str(DATA / "citizens-training.tsv")
    figures = json.loads(gateway("train", "--from-csv", file, "--json"))

    assert (tmp_path / "routing.npz").is_file()
    assert [643, 15] == [figures["samples"], len(figures["services"])]
    assert 0.5 < figures["top1"] <= figures["top3"] <= 1.0


def test_train_without_decided_cases(gateway):
    """There is nothing to learn yet."""
    with pytest.raises(PluginError, match="found samples: none; wanted 5 or more"):
        gateway("train")


def test_evaluate(learnt):
    """The whole, each layer, each service, each confidence."""
    figures = json.loads(learnt("evaluate", "--from-csv", HELDOUT, "--json"))

    assert (120, 0) == (figures["reports"], figures["cross_validated"])
    layers = {row["layer"]: row for row in figures["layers"]}
    assert ["model", "question"] == list(layers)
    assert 120 == sum(row["decided"] for row in layers.values())
    assert layers["model"]["right"] / layers["model"]["decided"] > 0.9
    assert layers["model"]["without"] < figures["top1"] * 120 / 2
    assert {"precision", "recall", "f1"} < set(figures["services"][0])
    in_bins = sum(row["reports"] for row in figures["calibration"])
    assert in_bins == layers["model"]["decided"]
    shown = learnt("evaluate", "--from-csv", HELDOUT)
    assert "macro_f1" in shown
    assert "polizia_locale" in shown


def test_evaluate_below_the_minimum(learnt):
    """Exit code 1, after the figures."""
    assert "top1" in learnt("evaluate", "--from-csv", HELDOUT, "--min", "1", code=1)
    learnt("evaluate", "--from-csv", HELDOUT, "--min", "0.5")


def test_evaluate_crosswise_needs_no_model(gateway):
    """It trains anew; what it has not learnt from is harder."""
    words = ("evaluate", "--cross", "--from-csv", HELDOUT, "--json")

    figures = json.loads(gateway(*words))
    assert [120, 120] == [figures["reports"], figures["cross_validated"]]
    [model] = [row for row in figures["layers"] if row["layer"] == "model"]
    assert (0, 120) == (model["decided"], model["said"])
    assert model["said_right"] / model["said"] < 0.75


def test_explain_layer_by_layer(learnt):
    """A rule decides; what the model would have said is shown all the same."""
    rows = json.loads(learnt("explain", "una buca in via Roma", "--json"))

    by_layer = {row["layer"]: row for row in rows}
    assert ["choice", "rules", "model", "question"] == list(by_layer)
    assert ("strade", True) == (
        by_layer["rules"]["service"],
        by_layer["rules"]["decides"],
    )
    assert "Buche; buca 1" == by_layer["rules"]["why"]
    assert ["rules"] == [layer for layer, row in by_layer.items() if row["decides"]]
    assert "strade" == by_layer["model"]["service"]
    assert "buca" in by_layer["model"]["why"]


def test_explain_what_the_model_decides(learnt):
    """Words with their weights."""
    shown = learnt("explain", "l'altalena del parco giochi è rotta")

    assert "altalena" in shown
    assert "verde" in shown


def test_explain_unknown_message(learnt):
    """An id is looked up."""
    with pytest.raises(NotFound, match="no message 0190"):
        learnt("explain", "01900000-0000-7000-8000-000000000000")


def test_model_that_is_not_there(gateway):
    """The daemon would not start either: how to make one is told."""
    with pytest.raises(PluginError, match="routing.npz is not there: .gateway routing"):
        gateway("explain", "x")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", ":1: found columns nothing; wanted service and text"),
        ("a,b\n", ":1: found columns a, b; wanted service and text"),
        ("service;text\nstrade;x\nstrada;y\n", ":3: found service 'strada'; allowed"),
        ("service,text\nstrade\n", None),
        ('service,text\nstrade,"x\n', "unexpected end of data"),
        (b"service,text\nstrade,citt\xe0\n", "wanted a CSV file in UTF-8"),
    ],
)
def test_wrong_csv(tmp_path, content, complaint):
    """File and line, what was found, what is allowed."""
    file = tmp_path / "x.csv"
    raw = content if isinstance(content, bytes) else content.encode()
    file.write_bytes(raw)
    if complaint is None:
        assert [] == read_csv(file, ["strade"])
        return

    with pytest.raises(PluginError, match=complaint) as caught:
        read_csv(file, ["strade", "verde"])
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_any_spreadsheet(tmp_path, delimiter):
    """Other columns are left aside; a byte order mark too."""
    file = tmp_path / "x.csv"
    rows = [("id", "text", "service"), ("1", '"una\nbuca"', "strade")]
    file.write_text("\n".join(delimiter.join(row) for row in rows), "utf-8-sig")

    assert [Sample("strade", "una\nbuca")] == read_csv(file, ["strade"])


@dataclass
class FakeDesk:
    """A city with decided cases and one stored message."""

    config: RoutingConfig
    services: tuple[str, ...] = ("strade", "verde")
    default_service: str = "strade"
    cases: list[Decided] = field(default_factory=list)

    def decided(self):
        return self.cases

    def message(self, message_id):
        return replace(said("l'altalena è rotta", "urp"), id=message_id)


@dataclass
class FakeGroup:
    """A group of commands over that city."""

    desk: FakeDesk
    app: typer.Typer = field(default_factory=typer.Typer)

    def open(self, config):
        return self.desk

    def show(self, rows, *, as_json, empty):
        typer.echo(json.dumps(rows) if as_json else str(rows))


BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def city(tmp_path):
    """Call the commands of a city whose cases say what belongs to whom."""
    texts = {"strade": "buca nella strada", "verde": "altalena del parco rotta"}
    config = RoutingConfig(model={"file": tmp_path / "m.npz", "min_confidence": 0})
    desk = FakeDesk(config)
    desk.cases = [
        Decided(
            case_id=f"c{n}",
            service=service,
            text=f"{text} {n}",
            message=replace(said(f"{text} {n}"), received_at=BEFORE),
        )
        for n in range(8)
        for service, text in (*texts.items(), ("chiuso", "ufficio che non c'è più"))
    ]
    group = FakeGroup(desk)
    commands.register(group, make_router)

    def call(*words):
        result = CliRunner().invoke(group.app, words)
        if isinstance(result.exception, Exception):
            raise result.exception
        return result.output

    call.desk = desk
    return call


def test_train_on_decided_cases(city):
    """Those of services there no longer are are left aside."""
    figures = json.loads(city("train", "--json"))

    assert (16, 1.0) == (figures["samples"], figures["top1"])
    assert {"strade", "verde"} == {row["service"] for row in figures["services"]}


def test_explain_a_stored_message(city):
    """By its id."""
    city("train")
    _, row = json.loads(
        city("explain", "01900000-0000-7000-8000-000000000000", "--json")
    )

    assert ("model", "verde", True) == (row["layer"], row["service"], row["decides"])
    assert "altalena" in row["why"]


def test_evaluate_what_the_model_has_learnt(city):
    """Older cases are asked of models that don't know them, newer ones of its own."""
    city("train")
    before = json.loads(city("evaluate", "--json"))
    later = said("la buca nella strada è enorme")
    later = replace(later, received_at=later.received_at + timedelta(hours=1))
    one = Decided(case_id="d", service="strade", text="x", message=later)
    city.desk.cases.append(one)
    after = json.loads(city("evaluate", "--json"))

    assert (16, 16) == (before["reports"], before["cross_validated"])
    assert (17, 16) == (after["reports"], after["cross_validated"])
    assert 1.0 == before["top1"] == after["top1"]


def test_evaluate_on_too_few_cases(city):
    """No model can be made without them: then there is none."""
    city("train")
    city.desk.cases = city.desk.cases[:6]
    figures = json.loads(city("evaluate", "--json"))

    assert ["default service"] == [row["layer"] for row in figures["layers"]]


def test_evaluate_nothing(city):
    """There are no decided cases yet."""
    city.desk.cases = []
    with pytest.raises(PluginError, match="found no samples; wanted decided cases"):
        city("evaluate")


def test_a_csv_can_say_what_rules_ask(tmp_path):
    """Channel, classification and position, as far as the columns are there."""
    file = tmp_path / "x.csv"
    file.write_text(
        "service,text,channel,classification,latitude,longitude\n"
        "strade,buca,pec,VI.5,39.2,9.1\n"
        "strade,buca,,,,\n"
    )
    full, bare = read_csv(file, ["strade"])

    assert ("pec", "VI.5") == (full.message.channel, full.message.classification)
    assert (39.2, 9.1) == (
        full.message.location.latitude,
        full.message.location.longitude,
    )
    assert bare.message is None
    file.write_text("service,text,latitude,longitude\nstrade,buca,1511000,1\n")
    with pytest.raises(PluginError, match=":2: found position 1511000 1"):
        read_csv(file, ["strade"])
