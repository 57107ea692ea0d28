"""Searches, whose steps are runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; no run of before is a search or a step of one."""
    with op.batch_alter_table("runs") as table:
        table.add_column(sa.Column("is_search", sa.Boolean, nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("search_id", sa.String(32)))
        table.add_column(sa.Column("search_step", sa.Integer))
    op.create_index("ix_runs_search_id", "runs", ["search_id"])
