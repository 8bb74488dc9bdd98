"""What operators watch, in Prometheus' terms; one registry for each gateway."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.depths import QueueDepth
from gateway.model import ChannelId

_STAGE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The gateway's metrics; names are part of the interface with operators."""

    def __init__(self) -> None:
        """Make every metric in a registry of its own."""
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "gateway_intake_items",
            "Items accepted from channels, new or known already",
            ["channel", "result"],
            registry=self.registry,
        )
        # Looking a label up costs more than counting.
        self._accepted = cache(self.accepted.labels)
        self.conflicts = Counter(
            "gateway_intake_conflicts",
            "Known ids under which other content came",
            ["channel"],
            registry=self.registry,
        )
        self.refused = Counter(
            "gateway_intake_refused",
            "Requests refused at the web edge",
            ["channel", "status"],
            registry=self.registry,
        )
        self.stage = Histogram(
            "gateway_stage_seconds",
            "Time a message spends in a stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=self.registry,
        )
        self.deliveries = Counter(
            "gateway_deliveries",
            "Attempts to deliver, by result",
            ["target", "result"],
            registry=self.registry,
        )
        self.breaker = Gauge(
            "gateway_breaker_open",
            "Whether a target's circuit breaker is open (1) or not (0)",
            ["target"],
            registry=self.registry,
        )
        self.queue_open = Gauge(
            "gateway_queue_jobs", "Open jobs", ["queue"], registry=self.registry
        )
        self.queue_age = Gauge(
            "gateway_queue_oldest_ready_seconds",
            "Age of the oldest ready job",
            ["queue"],
            registry=self.registry,
        )
        self.dead_letters = Gauge(
            "gateway_dead_letters",
            "Dead letters nobody has resolved",
            ["queue"],
            registry=self.registry,
        )
        self.receipts = Gauge(
            "gateway_receipts_overdue",
            "Deliveries whose receipt is late, or missing for good",
            ["state"],
            registry=self.registry,
        )
        self.deadlines = Counter(
            "gateway_deadlines",
            "Deadlines of cases that came near, or passed, unanswered",
            ["service", "result"],
            registry=self.registry,
        )
        self.overdue = Gauge(
            "gateway_cases_overdue",
            "Cases that are unanswered beyond their deadline",
            ["service"],
            registry=self.registry,
        )
        self.commit_group = Histogram(
            "gateway_commit_group_units",
            "Units of work that shared a commit",
            buckets=_GROUP_BUCKETS,
            registry=self.registry,
        )

    def count_accepted(self, channel: ChannelId, new: int, known: int) -> None:
        """Count what a channel brought."""
        if new:
            self._accepted(channel, "new").inc(new)
        if known:
            self._accepted(channel, "known").inc(known)

    def count_conflict(self, channel: ChannelId) -> None:
        """Count other content under a known id."""
        self.conflicts.labels(channel).inc()

    def set_queue(self, queue: str, depth: QueueDepth) -> None:
        """Show how deep a queue is."""
        self.queue_open.labels(queue).set(depth.open)
        self.queue_age.labels(queue).set(depth.oldest_ready_age.total_seconds())
        self.dead_letters.labels(queue).set(depth.dead)
