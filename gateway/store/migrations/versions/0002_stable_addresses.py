"""Addresses that a provider gives to nobody else."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    no = sa.false()
    op.add_column(
        "address",
        sa.Column[bool]("stable", sa.Boolean(), nullable=False, server_default=no),
    )


def downgrade() -> None:
    op.drop_column("address", "stable")
