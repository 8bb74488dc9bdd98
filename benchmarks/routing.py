"""What routing a message costs: with 1, 100, 1,000 rules, a model, a list of streets.

The rules are a city's: words with and without ``*``, one in ten with an expression, one
in twenty with a sender or a channel besides. The texts are the plugin's held-out ones.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from figures import Figure, compare
from gateway_routing import make_router
from gateway_routing.config import RoutingConfig
from gateway_routing.router import Router
from gateway_routing.samples import Sample, read_csv
from gateway_routing.streets import Street, Streets
from gateway_routing.training import train
from processes import ROOT

from gateway.model import Address, ChannelId, Message, MessageId, ServiceId

DATA = ROOT / "plugins" / "routing" / "tests" / "data"
ENOUGH_RULES = (1, 100, 1_000)
STREETS = 5_000
FLAT = 2.0
"""With a thousand rules a message costs at most so many times what it does with one."""

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LETTERS = "abcdefghilmnopqrstuvz"


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randint(4, 9)))


def _rule(number: int, chance: random.Random) -> dict[str, object]:
    words = [_word(chance) + chance.choice(["", "", "*"]) for _ in range(5)]
    rule: dict[str, object] = {"service": f"s{number % 30}", "words": words}
    if number % 10 == 0:
        rule = {
            "service": f"s{number % 30}",
            "patterns": [
                rf"{_word(chance)}\w*\s+{_word(chance)}",
                r"\b" + words[0][:4],
            ],
        }
    if number % 20 == 1:
        rule["senders"] = [f"*@{_word(chance)}.example.it"]
    if number % 20 == 2:  # noqa: PLR2004 (a share)
        rule["channels"] = ["pec"]
    return rule


def _router(rules: int, model: Path | None = None) -> Router:
    chance = random.Random(7)
    known = [{"service": "s0", "words": ["buca", "lampion*", "cassonett*"]}]
    made = known + [_rule(number, chance) for number in range(rules - 1)]
    config = RoutingConfig.model_validate(
        {"rules": made, "model": {"file": model} if model else None}
    )
    return make_router(config, [])


def _of_senders(rules: int) -> Callable[[Message], object]:
    """Return what routes by rules that ask for nothing but a sender."""
    made = [
        {"service": "a", "senders": [f"*@office{number}.example.it"]}
        for number in range(rules)
    ]
    return make_router(RoutingConfig.model_validate({"rules": made}), []).route


def _messages(samples: Sequence[Sample]) -> list[Message]:
    return [
        Message(
            id=MessageId(f"m{number}"),
            channel=ChannelId("urp"),
            external_id=str(number),
            sender=Address("mailto", "anna@example.it"),
            sent_at=NOW,
            received_at=NOW,
            text=sample.text,
        )
        for number, sample in enumerate(samples)
    ]


def _streets() -> Streets:
    chance = random.Random(7)
    kinds = ("Via", "Viale", "Piazza", "Vicolo")
    names = (
        f"{chance.choice(kinds)} {_word(chance).title()} {_word(chance).title()}"
        for _ in range(STREETS)
    )
    return Streets(Street(name) for name in names)


def _cost(call: Callable[[Message], object], messages: Sequence[Message]) -> float:
    """Return the microseconds of processor a message, over all of them some times."""
    repeats = 20
    started = time.thread_time()
    for _ in range(repeats):
        for message in messages:
            call(message)
    return (time.thread_time() - started) / repeats / len(messages) * 1e6


def measure(rounds: int) -> list[Figure]:
    """Measure all in turn, round by round."""
    services = [ServiceId(line.split("\t")[0]) for line in _lines()]
    heldout = read_csv(DATA / "citizens-heldout.tsv", services)
    messages = _messages(heldout)
    learnt = read_csv(DATA / "citizens-training.tsv", services)
    streets = _streets()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "routing.npz"
        train(learnt, NOW).model.save(file)
        calls: dict[str, Callable[[Message], object]] = {
            **{f"{number}": _router(number).route for number in ENOUGH_RULES},
            "senders": _of_senders(ENOUGH_RULES[-1]),
            "model": _router(1, file).route,
            "streets": lambda message: streets.find(message.text),
        }
    costs: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            costs[name].append(_cost(call, messages))
    return [_figure(name, costs) for name in calls if name != "1"]


def _figure(name: str, costs: dict[str, list[float]]) -> Figure:
    # The first round warms up.
    ours, reference = costs[name][1:], costs["1"][1:]
    is_rules = name.isdigit()
    return compare(
        f"routing-{name}-rules" if is_rules else f"routing-{name}",
        ours,
        reference,
        unit="µs/message",
        against="one rule",
        at_most=FLAT if is_rules else None,
    )


def _lines() -> list[str]:
    return (DATA / "citizens-training.tsv").read_text("utf-8").splitlines()[1:]
