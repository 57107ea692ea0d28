"""Runs that a threshold ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no run of before was ended so."""
    with op.batch_alter_table("runs") as table:
        table.add_column(sa.Column("early_end", sa.JSON))
