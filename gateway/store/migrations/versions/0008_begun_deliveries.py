"""When a delivery could first go out; of those that were tried, when they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column[int]("begun_at", sa.BigInteger()))
    op.execute(
        "UPDATE delivery SET begun_at = created_at"
        " WHERE id IN (SELECT subject FROM job WHERE attempts > 0)"
    )


def downgrade() -> None:
    op.drop_column("delivery", "begun_at")
