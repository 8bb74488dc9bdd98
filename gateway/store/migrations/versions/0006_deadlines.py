"""By when a case must be answered."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column[int]("deadline_at", sa.BigInteger()))
    op.create_index(
        "ix_cases_deadline_at",
        "cases",
        ["deadline_at"],
        sqlite_where=sa.text("deadline_at IS NOT NULL"),
        postgresql_where=sa.text("deadline_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_cases_deadline_at", "cases")
    op.drop_column("cases", "deadline_at")
