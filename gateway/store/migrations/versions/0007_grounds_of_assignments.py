"""Why a message went to its service, in detail."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assignment", sa.Column[str]("grounds", sa.Text()))


def downgrade() -> None:
    op.drop_column("assignment", "grounds")
