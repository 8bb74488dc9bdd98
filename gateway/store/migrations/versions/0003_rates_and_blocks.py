"""How fast we may send, who is blocked, and how long a recording is."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_rate"),
    )
    op.create_table(
        "blocked",
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("contact_id", name="pk_blocked"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name="fk_blocked_contact_id"
        ),
    )
    op.add_column("attachment", sa.Column[float]("seconds", sa.Float()))


def downgrade() -> None:
    op.drop_column("attachment", "seconds")
    op.drop_table("blocked")
    op.drop_table("rate")
