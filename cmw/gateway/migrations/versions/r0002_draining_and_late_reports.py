"""Workers that take no new runs, runs that were reported on too late, and samples found by second."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and let the samples of a run be read in order without sorting them again for every page."""
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("draining", sa.Boolean, nullable=False, server_default=sa.false()))
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("late_reports", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("ix_batches_run_id", "batches")
    op.create_index("ix_batches_run_id", "batches", ["run_id", "second", "id"])
