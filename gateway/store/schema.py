"""The tables. Hot: `job`, which holds open work only. Cold: all the others.

Times are microseconds since 1970 UTC (see `Moment`): exact, comparable and the same
on SQLite and PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect

REVISION = "0010"
"""The Alembic revision this code needs; a test holds it against the migrations."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return a time as it is stored; a naive one is a programming error."""
    return (at - _EPOCH) // _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> int | None:
        """Store a time; a naive one is a programming error."""
        del dialect
        return None if value is None else to_microseconds(value)

    def process_result_value(
        self, value: int | None, dialect: Dialect
    ) -> datetime | None:
        """Read a time back, aware, in UTC."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Raw bytes exactly as received: evidence. `salt` makes the digest in the audit trail
# say nothing about the content once the row is erased.
original = Table(
    "original",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("received_at", Moment, nullable=False),
)

# One row for ever per provider's message id: the only dedupe there is.
inbox = Table(
    "inbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("original_id", Text, ForeignKey("original.id"), nullable=False),
    UniqueConstraint("channel", "external_id"),
    sqlite_with_rowid=False,
)

# Open work only: a finished job's row is deleted. `lane` orders (one at a time),
# `start` is the start tag of fair queueing.
job = Table(
    "job",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("queue", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", Moment),
    Column("owner", Text),
    Column("fence", Integer, nullable=False),
    Column("lease_until", Moment),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)
Index(
    "ix_job_head",
    job.c.queue,
    job.c.start,
    job.c.id,
    sqlite_where=job.c.state.in_(("ready", "running")),
    postgresql_where=job.c.state.in_(("ready", "running")),
)
Index("ix_job_lane", job.c.queue, job.c.lane, job.c.start)
Index("ix_job_subject", job.c.subject)
Index(
    "ix_job_due",
    job.c.due_at,
    sqlite_where=job.c.state == "waiting",
    postgresql_where=job.c.state == "waiting",
)
Index(
    "ix_job_running",
    job.c.owner,
    sqlite_where=job.c.state == "running",
    postgresql_where=job.c.state == "running",
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("died_at", Moment, nullable=False),
    Column("resolution", Text),
    Column("resolved_at", Moment),
    Column("note", Text),
)
Index(
    "ix_dead_letter_open",
    dead_letter.c.died_at,
    sqlite_where=dead_letter.c.resolution.is_(None),
    postgresql_where=dead_letter.c.resolution.is_(None),
)

Index(
    "ix_dead_letter_subject",
    dead_letter.c.subject,
    sqlite_where=dead_letter.c.resolution.is_(None),
    postgresql_where=dead_letter.c.resolution.is_(None),
)

contact = Table(
    "contact",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # The contact that this one turned out to be; counts while it has no addresses.
    Column("merged_into", Text),
)
Index(
    "ix_contact_merged_into",
    contact.c.merged_into,
    sqlite_where=contact.c.merged_into.is_not(None),
    postgresql_where=contact.c.merged_into.is_not(None),
)

address = Table(
    "address",
    metadata,
    Column("uri", Text, primary_key=True),
    Column("contact_id", Text, ForeignKey("contact.id"), nullable=False, index=True),
    # Whether the provider gives it to nobody else, ever.
    Column("stable", Boolean, nullable=False, server_default=false()),
    sqlite_with_rowid=False,
)

# Contacts whose messages are refused, until somebody lifts it.
blocked = Table(
    "blocked",
    metadata,
    Column("contact_id", Text, ForeignKey("contact.id"), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# Where a contact agreed to be answered besides, with who noted it, how and until when:
# what has ended stays, as proof of what was agreed before.
consent = Table(
    "consent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("contact_id", Text, ForeignKey("contact.id"), nullable=False, index=True),
    Column("uri", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("given_at", Moment, nullable=False),
    Column("given_by", Text, nullable=False),
    # The words by which a citizen gave it, or how staff say that they did.
    Column("message_id", Text),
    Column("note", Text, nullable=False),
    Column("ended_at", Moment),
    Column("ended_by", Text),
)
Index(
    "uq_consent_uri_channel",
    consent.c.uri,
    consent.c.channel,
    unique=True,
    sqlite_where=consent.c.ended_at.is_(None),
    postgresql_where=consent.c.ended_at.is_(None),
)

conversation = Table(
    "conversation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("contact_id", Text, ForeignKey("contact.id"), nullable=False),
    Column("reply_to", Text, nullable=False),
    Column("last_inbound_at", Moment, nullable=False),
    # When the citizen said that something new follows: it joins no earlier case.
    Column("anew_at", Moment),
    UniqueConstraint("channel", "contact_id"),
)

# `case` is a word of SQL, hence the plural.
cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("conversation_id", Text, ForeignKey("conversation.id"), nullable=False),
    Column("service", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("last_message_at", Moment, nullable=False),
    Column("closed_at", Moment),
    # The case of the same citizen in which this one goes on: itself, it is closed.
    Column("merged_into", Text),
    # The main case of the same matter, which another citizen told of.
    Column("duplicate_of", Text),
    # When the citizen was asked how content they are, and what they said (1 to 5).
    Column("asked_at", Moment),
    Column("rating", Integer),
    # By when it must be answered; none once it is.
    Column("deadline_at", Moment),
)
Index("ix_cases_conversation_id", cases.c.conversation_id, cases.c.last_message_at)
Index("ix_cases_opened_at", cases.c.opened_at)
for _column in (cases.c.merged_into, cases.c.duplicate_of):
    Index(
        f"ix_cases_{_column.name}",
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )

Index(
    "ix_cases_deadline_at",
    cases.c.deadline_at,
    sqlite_where=cases.c.deadline_at.is_not(None),
    postgresql_where=cases.c.deadline_at.is_not(None),
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("direction", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("conversation_id", Text, ForeignKey("conversation.id")),
    Column("case_id", Text, ForeignKey("cases.id"), index=True),
    Column("body", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "ix_message_attention",
    message.c.id,
    sqlite_where=message.c.state != "processed",
    postgresql_where=message.c.state != "processed",
)

attachment = Table(
    "attachment",
    metadata,
    Column("message_id", Text, ForeignKey("message.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("locator", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger),
    Column("digest", Text),
    Column("sha256", Text, index=True),
    Column("voice", Boolean, nullable=False),
    Column("seconds", Float),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
)

verdict = Table(
    "verdict",
    metadata,
    Column("message_id", Text, ForeignKey("message.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("action", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("score", Float),
)

assignment = Table(
    "assignment",
    metadata,
    Column("message_id", Text, ForeignKey("message.id"), primary_key=True),
    Column("service", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    # JSON of `model.Grounds`; NULL: none were given.
    Column("grounds", Text),
)

# One row per (message, target, purpose): what is enqueued twice is sent once.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, ForeignKey("message.id"), nullable=False),
    Column("case_id", Text, ForeignKey("cases.id"), index=True),
    Column("target", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("quote", Text),
    Column("source_id", Text, index=True),
    Column("state", Text, nullable=False),
    Column("external_id", Text),
    Column("code", Text, nullable=False),
    # How many recipients get a receipt of their own.
    Column("awaits", Integer, nullable=False, server_default=text("1")),
    Column("created_at", Moment, nullable=False),
    # When it could first go out: it may have waited for files, or for a choice.
    Column("begun_at", Moment),
    # How an answer went that could not go as it was (see `gateway.ladder`), and which
    # delivery this one stands in for.
    Column("rung", Text),
    Column("instead_of", Text),
    UniqueConstraint("message_id", "target", "purpose"),
)
Index(
    "ix_delivery_instead_of",
    delivery.c.instead_of,
    sqlite_where=delivery.c.instead_of.is_not(None),
    postgresql_where=delivery.c.instead_of.is_not(None),
)
Index("ix_delivery_external_id", delivery.c.external_id)

receipt = Table(
    "receipt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("delivery_id", Text, index=True),
    Column("external_id", Text, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # The stored item that it was read from: its original is evidence.
    Column("inbox_id", Text),
    Column("recipient", Text, nullable=False, server_default=text("''")),
    # Another id by which answers refer to the delivery.
    Column("reference", Text),
)
Index(
    "ix_receipt_reference",
    receipt.c.reference,
    sqlite_where=receipt.c.reference.is_not(None),
    postgresql_where=receipt.c.reference.is_not(None),
)

plugin_state = Table(
    "plugin_state",
    metadata,
    Column("plugin", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# When a limited flow has its rate back, as far as it was borrowed (see `rates`).
rate = Table(
    "rate",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", Moment, nullable=False),
)

# Single-owner work: who holds it, until when.
lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column(
        "seq",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("at", Moment, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

# The end of the chain; on PostgreSQL its row lock makes the appender single.
chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
