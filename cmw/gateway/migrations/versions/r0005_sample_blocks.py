"""Samples packed by minute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; the gateway fills them from the frames that it finds."""
    op.create_table(
        "sample_blocks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("minute", sa.Integer, nullable=False),
        sa.Column("first_endpoint", sa.BigInteger, nullable=False),
        sa.Column("last_endpoint", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("block", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sample_blocks"),
    )
    op.create_index("ix_sample_blocks_run_id", "sample_blocks", ["run_id", "minute", "first_endpoint", "last_endpoint"])
    op.create_table(
        "sample_sums",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("minute", sa.Integer, nullable=False),
        sa.Column("total", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sample_sums"),
    )
    op.create_index("ix_sample_sums_run_id", "sample_sums", ["run_id", "minute"])
