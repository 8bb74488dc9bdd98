"""Which contacts turned out to be others."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_MOVES = "SELECT subject, data FROM event WHERE action = 'contact.moved' ORDER BY seq"
_MERGE = sa.text("UPDATE contact SET merged_into = :into WHERE id = :merged")
_LIVES = sa.text("UPDATE contact SET merged_into = NULL WHERE id = :into")


def upgrade() -> None:
    op.add_column("contact", sa.Column[str]("merged_into", sa.Text()))
    op.create_index(
        "ix_contact_merged_into",
        "contact",
        ["merged_into"],
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )
    connection = op.get_bind()
    for subject, data in connection.execute(sa.text(_MOVES)).all():
        for merged in json.loads(data)["merged"]:
            connection.execute(_MERGE, {"into": subject, "merged": merged})
            connection.execute(_LIVES, {"into": subject})


def downgrade() -> None:
    op.drop_index("ix_contact_merged_into", "contact")
    op.drop_column("contact", "merged_into")
