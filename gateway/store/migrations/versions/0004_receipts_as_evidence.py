"""Which original a receipt was read from, for whom it is, and what answers name."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    one, nobody = sa.text("1"), sa.text("''")
    op.add_column(
        "delivery",
        sa.Column[int]("awaits", sa.Integer(), nullable=False, server_default=one),
    )
    op.add_column("receipt", sa.Column[str]("inbox_id", sa.Text()))
    op.add_column(
        "receipt",
        sa.Column[str]("recipient", sa.Text(), nullable=False, server_default=nobody),
    )
    op.add_column("receipt", sa.Column[str]("reference", sa.Text()))
    op.create_index(
        "ix_receipt_reference",
        "receipt",
        ["reference"],
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_index(
        "ix_dead_letter_subject",
        "dead_letter",
        ["subject"],
        sqlite_where=sa.text("resolution IS NULL"),
        postgresql_where=sa.text("resolution IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_dead_letter_subject", "dead_letter")
    op.drop_index("ix_receipt_reference", "receipt")
    for column in ("reference", "recipient", "inbox_id"):
        op.drop_column("receipt", column)
    op.drop_column("delivery", "awaits")
