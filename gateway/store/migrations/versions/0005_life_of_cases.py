"""What becomes of a case: closed, merged, linked, rated; and where a new one begins."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_CLOSED_AT = """
    UPDATE cases
       SET closed_at = coalesce((SELECT max(event.at) FROM event
                                  WHERE event.subject = cases.id
                                    AND event.action = 'case.closed'),
                                last_message_at)
     WHERE status = 'closed'
"""


def upgrade() -> None:
    op.add_column("cases", sa.Column[int]("closed_at", sa.BigInteger()))
    op.add_column("cases", sa.Column[str]("merged_into", sa.Text()))
    op.add_column("cases", sa.Column[str]("duplicate_of", sa.Text()))
    op.add_column("cases", sa.Column[int]("asked_at", sa.BigInteger()))
    op.add_column("cases", sa.Column[int]("rating", sa.Integer()))
    op.add_column("conversation", sa.Column[int]("anew_at", sa.BigInteger()))
    op.create_index("ix_cases_opened_at", "cases", ["opened_at"])
    for column in ("merged_into", "duplicate_of"):
        op.create_index(
            f"ix_cases_{column}",
            "cases",
            [column],
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.execute(_CLOSED_AT)


def downgrade() -> None:
    op.execute(
        "UPDATE cases SET status = 'assigned' WHERE status IN ('new','reopened')"
    )
    for column in ("duplicate_of", "merged_into"):
        op.drop_index(f"ix_cases_{column}", "cases")
    op.drop_index("ix_cases_opened_at", "cases")
    op.drop_column("conversation", "anew_at")
    for column in ("rating", "asked_at", "duplicate_of", "merged_into", "closed_at"):
        op.drop_column("cases", column)
