"""Addresses that a provider gives to nobody else."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    stable = sa.Column(
        "stable", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("address", stable)


def downgrade() -> None:
    op.drop_column("address", "stable")
