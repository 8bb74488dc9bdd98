"""The model: how good, how sure, what it keeps, what it refuses to read."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from gateway_routing import training
from gateway_routing.measures import measure
from gateway_routing.model import Model
from gateway_routing.samples import Sample, read_csv
from gateway_routing.training import train
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway.errors import PluginError

NOW = datetime(2026, 11, 26, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[3] / "examples" / "routing"


def few(**counts):
    """Return samples of services, so many each, that differ."""
    return [
        Sample(service, f"{service} {number} {service}")
        for service, count in counts.items()
        for number in range(count)
    ]


def test_heldout_reports(model_file, heldout):
    """The targets of moderation.md 4.5, on texts of the same hand: flattered."""
    model = Model.load(model_file)
    found = [model.predict(sample.text).ranked for sample in heldout]
    chances = np.array([[dict(r)[s] for s in model.services] for r in found])
    figures = measure([sample.service for sample in heldout], model.services, chances)

    assert figures.top1 >= 0.88
    assert figures.top3 >= 0.97
    assert figures.macro_f1 >= 0.85


@pytest.mark.long
def test_reports_to_begin_with(services, heldout):
    """The same of what the README gives to cities that have no cases yet."""
    reports = read_csv(EXAMPLES / "reports.it.tsv", services)
    model = train(reports, NOW).model
    found = [model.predict(sample.text).ranked for sample in heldout]
    chances = np.array([[dict(r)[s] for s in model.services] for r in found])
    figures = measure([sample.service for sample in heldout], model.services, chances)

    assert len(reports) == len({report.text for report in reports}) > 3_500
    assert not {sample.text for sample in heldout} & {each.text for each in reports}
    assert figures.top1 >= 0.88
    assert figures.top3 >= 0.97
    assert figures.macro_f1 >= 0.85


def test_probabilities_are_what_they_say(trained):
    """Of texts unlike all that it has learnt, as many are right as it says."""
    measured = trained.measured

    assert measured.ece < 0.08
    assert measured.covered(0.9)[1] > 0.8
    assert 1.0 == measured.covered(0.0)[0]


def test_file_is_the_model(trained, model_file, heldout):
    """What is read back answers as what was written, but for 16-bit rounding."""
    read = Model.load(model_file)
    for sample in heldout[:20]:
        before = dict(trained.model.predict(sample.text).ranked)
        after = dict(read.predict(sample.text).ranked)
        assert pytest.approx(before, abs=0.01) == after

    assert trained.model.about == read.about
    assert 643 == sum(read.about.examples.values())
    assert 0.6 < read.about.figures["top1"]


def test_same_samples_make_the_same_model(tmp_path):
    """Nothing in it is chance."""
    for name in ("a", "b"):
        train(few(strade=9, verde=9), NOW).model.save(tmp_path / name)
    one, other = (Model.load(tmp_path / name) for name in ("a", "b"))

    assert one.about == other.about
    assert (one.weights == other.weights).all()


def test_file_keeps_no_words(model_file):
    """Pieces are hashed: nobody reads a citizen's words out of the file."""
    with np.load(model_file, allow_pickle=False) as file:
        kinds = {name: file[name].dtype.kind for name in file.files}
        about = bytes(file["about"])

    assert set("uf") == set(kinds.values())
    assert b"panificio" not in about


def test_clues_name_the_words(trained):
    """They stand in the text, and speak for the service."""
    text = "Segnalo che nel parco l'altalena è rotta"
    found = trained.model.predict(text)
    words = [text[clue.start : clue.end] for clue in found.clues]

    assert "verde" == found.ranked[0][0]
    assert {"parco", "altalena"} <= set(words)
    assert all(clue.weight > 0 for clue in found.clues)


def test_only_services_that_there_are(trained):
    """A service that the city no longer has is never named."""
    text = "l'altalena del parco è rotta"
    found = trained.model.predict(text, {"strade", "acqua"})

    assert {"strade", "acqua"} == {service for service, _ in found.ranked}
    assert pytest.approx(1.0, abs=1e-5) == sum(chance for _, chance in found.ranked)
    assert trained.model.predict(text, {"nessuno"}) is None


def test_nothing_known(trained):
    """No letters, or none that it has seen: no answer."""
    assert trained.model.predict("") is None
    assert trained.model.predict("🙂 !!") is None
    assert trained.model.predict("ぜんぜん わからない") is None


@pytest.mark.parametrize("text", ["Buongiorno", "ciao", "ok grazie mille", "pronto?"])
def test_greetings_are_no_reports(trained, text):
    """What says nothing gets no sure answer, whoever began so."""
    assert trained.model.predict(text).ranked[0][1] < 0.5


@hypothesis_settings(max_examples=50)
@given(st.text())
def test_any_text(trained, text):
    """Probabilities are probabilities, clues lie within the text."""
    found = trained.model.predict(text)
    if found is not None:
        chances = [chance for _, chance in found.ranked]
        assert sorted(chances, reverse=True) == chances
        assert pytest.approx(1.0, abs=1e-4) == sum(chances)
        assert all(0 <= c.start < c.end <= len(text) for c in found.clues)


def test_too_few_samples():
    """What has too few is left out; of one service there is nothing to learn."""
    assert ["anagrafe"] == train(few(strade=6, verde=6, anagrafe=4), NOW).left_out
    with pytest.raises(PluginError, match="strade 9, verde 4; wanted 5 or more of two"):
        train(few(strade=9, verde=4), NOW)


def pickled():
    """Return a file that would run something, if it were believed."""
    file = io.BytesIO()
    np.savez(file, about=np.array([{"format": 1}], dtype=object))
    return file.getvalue()


def changed(model_file, **arrays):
    """Return the model's file with other arrays in it."""
    with np.load(model_file, allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    target = io.BytesIO()
    np.savez(target, **(kept | arrays))
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda _: b"", "can't be read"),
        (lambda _: b"PK no zip", "can't be read"),
        (lambda _: pickled(), "allow_pickle"),
        (lambda f: changed(f, bias=np.zeros(3, "float32")), "do not fit together"),
        (lambda f: changed(f, bias=np.zeros(15)), "bias: float64, wanted float32"),
        (lambda f: changed(f, bias=np.full(15, np.nan, "float32")), "not all finite"),
        (lambda f: changed(f, about=np.array([123, 125], "uint8")), "'format'"),
    ],
)
def test_file_that_is_no_model(model_file, tmp_path, content, complaint):
    """It is refused by its path, and how to make one is told."""
    file = tmp_path / "other.npz"
    file.write_bytes(content(model_file))

    with pytest.raises(PluginError, match=complaint) as caught:
        Model.load(file)
    assert "gateway routing train" in str(caught.value)
    assert str(file) in str(caught.value)


def test_file_cut_short(model_file, tmp_path):
    """Half a file is none."""
    file = tmp_path / "half.npz"
    file.write_bytes(model_file.read_bytes()[:-2000])

    with pytest.raises(PluginError, match="can't be read"):
        Model.load(file)
    assert zipfile.is_zipfile(model_file)


def test_figures():
    """Counted by hand: three of four right, one unknown service."""
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], "float32")
    found = measure(["a", "a", "b", "c"], ["a", "b"], chances)

    assert (0.75, 0.75) == (found.top1, found.top3)
    rows = {s.service: (s.precision, s.recall, s.samples) for s in found.services}
    assert {"a": (2 / 3, 1.0, 2), "b": (1.0, 1.0, 1), "c": (0.0, 0.0, 1)} == rows
    assert pytest.approx((0.8 + 1.0 + 0.0) / 3) == found.macro_f1
    assert pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4, abs=1e-6) == found.ece
    assert (0.5, 1.0) == found.covered(0.75)


def test_crosswise_nothing_is_asked_that_was_learnt(monkeypatch):
    """Each sample once, of a model that knows neither it nor its like."""
    taught = []

    def noted(samples, at):
        taught.append({sample.text.casefold() for sample in samples})
        return train(samples, at)

    monkeypatch.setattr(training, "train", noted)
    once = few(strade=9, verde=8)
    again = [Sample(each.service, each.text.upper()) for each in once]
    rare = few(rumore=2)
    found = list(training.crossed([*once, *again, *rare], NOW))

    asked = [sample for _, samples in found for sample in samples]
    assert sorted(map(str, [*once, *again, *rare])) == sorted(map(str, asked))
    for known, (model, samples) in zip(taught, found, strict=True):
        assert model is not None
        assert not known & {sample.text.casefold() for sample in samples}
