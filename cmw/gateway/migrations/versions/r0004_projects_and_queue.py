"""Projects with registrars, SIP accounts and tests; workers by region and labels; runs that wait for room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns."""
    _create_projects()
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("region", sa.String(64)))
        workers.add_column(sa.Column("labels", sa.JSON, nullable=False, server_default="{}"))
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("project_id", sa.String(32)))
        runs.add_column(sa.Column("test_id", sa.String(32)))
        runs.add_column(sa.Column("placement", sa.JSON, nullable=False, server_default="{}"))
        runs.add_column(sa.Column("wait_until_ms", sa.BigInteger))
    op.create_index("ix_runs_test_id", "runs", ["test_id"])
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("slug", sa.String(100), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("slug", name="uq_projects_slug"),
    )
    op.create_table(
        "registrars",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("sealed_settings", sa.LargeBinary, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registrars"),
        sa.UniqueConstraint("project_id", "name", name="uq_registrars_project_id"),
    )
    op.create_table(
        "sip_accounts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("registrar_id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(128), nullable=False),
        sa.Column("realm", sa.String(128)),
        sa.Column("auth_username", sa.String(128)),
        sa.Column("sealed_password", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sip_accounts"),
        sa.UniqueConstraint("registrar_id", "username", name="uq_sip_accounts_registrar_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tests",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("endpoints", sa.Integer, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("sealed_plan", sa.LargeBinary, nullable=False),
        sa.Column("placement", sa.JSON, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tests"),
        sa.UniqueConstraint("project_id", "name", name="uq_tests_project_id"),
    )
