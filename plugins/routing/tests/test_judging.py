"""Which layer decides, what it brings, and how far its confidence can be believed."""

from datetime import timedelta

import pytest
from gateway_routing.judging import (
    DEFAULT,
    LAYERS,
    Answer,
    Judged,
    answers_of,
    by_layer,
    calibration,
    error,
)
from gateway_routing.report import Report
from gateway_routing.router import Step
from gateway_routing.services import of_services
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Alternative, Assignment, Grounds, Menu, Option, Question

LAST = Answer(DEFAULT, "urp", ("urp",))


def rules(service, confidence=0.5, *others):
    return Answer("rules", service, (service, *others), confidence)


def model(service, confidence, *others, decides=True):
    return Answer("model", service, (service, *others), confidence, decides)


JUDGED = [
    Judged("a", (rules("a", 0.5), model("b", 0.9), LAST)),
    Judged("b", (rules("a", 0.5, "b"), model("b", 0.9), LAST)),
    Judged("b", (model("b", 0.9), LAST)),
    Judged("c", (model("c", 0.4, decides=False), LAST)),
    Judged("urp", (LAST,)),
]


def test_each_layer():
    """What it said, decided and got right; what the whole would be without it."""
    found = {each.layer: each for each in by_layer(JUDGED)}

    assert ["rules", "model", DEFAULT] == list(found)
    one = found["rules"]
    assert (2, 1, 2, 1, 2) == (
        one.said,
        one.said_right,
        one.decided,
        one.right,
        one.top3,
    )
    assert 0.0 == one.ece
    # Without rules the model sends b to b, and a to b.
    assert 3 == one.without
    two = found["model"]
    assert (4, 3, 1, 1) == (two.said, two.said_right, two.decided, two.right)
    assert pytest.approx(0.1) == two.ece
    assert 2 == two.without
    assert (None, 2, 1) == (
        found[DEFAULT].ece,
        found[DEFAULT].decided,
        found[DEFAULT].right,
    )
    assert 2 == found[DEFAULT].without
    [unsure, _] = by_layer(JUDGED[3:4])
    assert ("model", 1, 0, None) == (
        unsure.layer,
        unsure.said,
        unsure.decided,
        unsure.ece,
    )


def test_calibration():
    """Of each layer that claims a confidence, bin by bin."""
    rows = [
        (b.layer, b.least, b.reports, b.confidence, b.right)
        for b in calibration(JUDGED)
    ]

    assert [("rules", 0.5, 2, 0.5, 0.5), ("model", 0.9, 1, 0.9, 1.0)] == rows
    assert pytest.approx(0.1 / 3) == error(JUDGED)
    assert error(JUDGED[3:]) is None


def test_report():
    """The whole."""
    report = Report.of(JUDGED, crossed=2)

    assert (5, 2, 3 / 5, 4 / 5) == (
        report.reports,
        report.cross_validated,
        report.top1,
        report.top3,
    )
    figures = {each.service: each for each in report.services}
    assert (1 / 2, 1.0) == (figures["a"].precision, figures["a"].recall)
    assert (0.0, 0.0) == (figures["c"].precision, figures["c"].recall)


def test_answers_of_layers():
    """Alternatives follow; a question offers its topics; the default is the last."""
    grounds = Grounds(
        layer="rules", alternatives=(Alternative(service="b", score=1.0),)
    )
    held = Assignment(
        service="a", reason="", source="x", confidence=0.6, grounds=grounds
    )
    options = tuple(Option(id=t, title=t) for t in ("Verde", "Altro", "Parchi"))
    question = Question(text="?", menu=Menu(options=options), wait=timedelta(minutes=1))
    asked = Assignment(service="urp", reason="", source="x", question=question)
    topics = {"Verde": "verde", "Altro": "urp", "Parchi": "verde"}
    steps = [
        Step("choice", None, decides=False),
        Step("rules", held, decides=False),
        Step("question", asked, decides=True),
    ]

    found = list(answers_of(steps, topics, "urp"))
    assert [
        Answer("rules", "a", ("a", "b"), 0.6, decides=False),
        Answer("question", "urp", ("verde", "urp"), 1.0),
        LAST,
    ] == found
    judged = Judged("verde", found)
    assert (False, True) == (judged.right, judged.among_first)


ANSWERS = st.builds(
    Judged,
    st.sampled_from("ab"),
    st.lists(
        st.builds(
            Answer,
            st.sampled_from(LAYERS[:-1]),
            st.sampled_from("ab"),
            st.just(("a", "b")),
            st.floats(0, 1),
            st.booleans(),
        ),
        unique_by=lambda answer: answer.layer,
    ).map(lambda answers: [*answers, Answer(DEFAULT, "a", ("a",))]),
)


@given(st.lists(ANSWERS, min_size=1))
def test_figures_add_up(judged):
    """Each report is decided by one layer; errors are shares."""
    layers = by_layer(judged)
    report = Report.of(judged, crossed=0)

    assert len(judged) == sum(each.decided for each in layers)
    assert sum(each.right for each in layers) == round(report.top1 * len(judged))
    assert all(each.right <= each.decided for each in layers)
    assert all(each.said_right <= each.said for each in layers)
    assert all(each.ece is None or 0 <= each.ece <= 1 for each in layers)
    assert len(judged) == sum(each.samples for each in report.services)
    claiming = [each for each in layers if each.ece is not None]
    assert sum(each.decided for each in claiming) == sum(
        each.reports for each in report.calibration
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_services(pairs):
    """As scikit-learn counts them."""
    metrics = pytest.importorskip("sklearn.metrics")
    truth, said = [t for t, _ in pairs], [s for _, s in pairs]
    found = of_services(truth, said)
    labels = [each.service for each in found]
    wanted = metrics.precision_recall_fscore_support(
        truth, said, labels=labels, zero_division=0
    )

    for place, name in enumerate(["precision", "recall", "f1", "samples"]):
        mine = [getattr(each, name) for each in found]
        assert pytest.approx(list(wanted[place])) == mine
