"""Where citizens agreed to be answered besides, and how their answers went."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_OPEN = sa.text("ended_at IS NULL")
_STANDS_IN = sa.text("instead_of IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ended_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name="fk_consent_contact_id"
        ),
    )
    op.create_index("ix_consent_contact_id", "consent", ["contact_id"])
    op.create_index(
        "uq_consent_uri_channel",
        "consent",
        ["uri", "channel"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.add_column("delivery", sa.Column[str]("rung", sa.Text()))
    op.add_column("delivery", sa.Column[str]("instead_of", sa.Text()))
    op.create_index(
        "ix_delivery_instead_of",
        "delivery",
        ["instead_of"],
        sqlite_where=_STANDS_IN,
        postgresql_where=_STANDS_IN,
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_instead_of", "delivery")
    op.drop_column("delivery", "instead_of")
    op.drop_column("delivery", "rung")
    op.drop_table("consent")
