"""The tables of the store, as the latest migration leaves them; a test compares the two.

Instants are `_at_ms`: milliseconds since 1970 UTC. No column holds a token, an API key or a password in clear:
tokens and keys as SHA-256, shares of runs that are not yet started as ciphertext of `cmw.gateway.vault`.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("draining", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("token_prefix", sa.String(12), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("last_seen_at_ms", sa.BigInteger),
    sa.Column("hello", sa.JSON),
    sa.Column("region", sa.String(64)),
    sa.Column("labels", sa.JSON, nullable=False, server_default="{}"),
)
"""`draining`: it is to take no new runs. `hello`: what the worker said of itself when it last connected."""

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("key_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("key_prefix", sa.String(12), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("role", sa.String(16), nullable=False, server_default="admin"),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("api_key_id", sa.String(32), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request_sha256", sa.String(64), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.LargeBinary),
)
"""What was asked for under an idempotency key, and the answer once it is known; secrets that were shown once are left
out of it."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("worker_id", sa.String(32), primary_key=True),
    sa.Column("session", sa.String(64), primary_key=True),
    sa.Column("committed_seq", sa.BigInteger, nullable=False),
    sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
)
"""The last sequence number committed of each link session; written in the transaction that writes what it numbers."""

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("slug", sa.String(100), nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)

registrars = sa.Table(
    "registrars",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("project_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("sealed_settings", sa.LargeBinary, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project_id", "name"),
)
"""`settings`: a registrar as in a plan, without accounts and with its TLS key masked; `sealed_settings` has the key."""

sip_accounts = sa.Table(
    "sip_accounts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("registrar_id", sa.String(32), nullable=False),
    sa.Column("username", sa.String(128), nullable=False),
    sa.Column("realm", sa.String(128)),
    sa.Column("auth_username", sa.String(128)),
    sa.Column("sealed_password", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("registrar_id", "username"),
    sqlite_autoincrement=True,
)
"""Accounts are dealt to endpoints in the order of their ids."""

tests = sa.Table(
    "tests",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("project_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("endpoints", sa.Integer, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("sealed_plan", sa.LargeBinary, nullable=False),
    sa.Column("placement", sa.JSON, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project_id", "name"),
)
"""Plans that are kept; what their groups name as registrar and they do not have is a registrar of their project."""

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)
"""What is known of the store itself, such as what its key made of a known text."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("status", sa.String(24), nullable=False, index=True),
    sa.Column("verdict", sa.String(16)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("sealed_plan", sa.LargeBinary),
    sa.Column("endpoints", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("queued_at_ms", sa.BigInteger),
    sa.Column("started_at_ms", sa.BigInteger),
    sa.Column("ended_at_ms", sa.BigInteger),
    sa.Column("deadline_at_ms", sa.BigInteger),
    sa.Column("summary", sa.JSON),
    sa.Column("late_reports", sa.Integer, nullable=False, server_default="0"),
    sa.Column("project_id", sa.String(32)),
    sa.Column("test_id", sa.String(32), index=True),
    sa.Column("placement", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("wait_until_ms", sa.BigInteger),
    sa.Column("is_search", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("search_id", sa.String(32), index=True),
    sa.Column("search_step", sa.Integer),
    sa.Column("early_end", sa.JSON(none_as_null=True)),
)
"""`plan` has no passwords; `sealed_plan` has them, encrypted, and is erased once every worker has started.
`deadline_at_ms`: when every endpoint must have ended by itself. `ended_at_ms`: from when on reports are late.
`late_reports`: how many came after it. `placement`: which workers it may have. `wait_until_ms`: until when it may wait
for room. `is_search`: its steps are runs of their own, with its id as `search_id` and their number as
`search_step`, from 1. `early_end`: the threshold that ended it."""

run_workers = sa.Table(
    "run_workers",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("worker_id", sa.String(32), primary_key=True),
    sa.Column("worker_name", sa.String(100), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("session", sa.String(64)),
    sa.Column("endpoints", sa.JSON, nullable=False),
    sa.Column("endpoint_count", sa.Integer, nullable=False),
    sa.Column("sealed_share", sa.LargeBinary),
    sa.Column("targets", sa.JSON),
    sa.Column("prepared", sa.JSON),
    sa.Column("progress", sa.JSON),
    sa.Column("done", sa.JSON),
    sa.Column("reason", sa.Text, nullable=False),
)
"""The part of a run that one worker has. `endpoints`: [[index, name, group, position, line], ...];
`done`: the data of its run_done."""

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.BigInteger, primary_key=True),
    sa.Column("worker_id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("group_name", sa.String(100), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("report", sa.JSON, nullable=False),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("worker_id", sa.String(32), nullable=False),
    sa.Column("second", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("frame", sa.LargeBinary, nullable=False),
    sa.Index("ix_batches_run_id", "run_id", "second", "id"),
)
"""Sample batches as they came over the link, until their minute is packed."""

sample_blocks = sa.Table(
    "sample_blocks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("minute", sa.Integer, nullable=False),
    sa.Column("first_endpoint", sa.BigInteger, nullable=False),
    sa.Column("last_endpoint", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("block", sa.LargeBinary, nullable=False),
    sa.Index("ix_sample_blocks_run_id", "run_id", "minute", "first_endpoint", "last_endpoint"),
)
"""A minute of some endpoints, packed by `cmw.gateway.sample_blocks`."""

sample_sums = sa.Table(
    "sample_sums",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("minute", sa.Integer, nullable=False),
    sa.Column("total", sa.LargeBinary, nullable=False),
    sa.Index("ix_sample_sums_run_id", "run_id", "minute"),
)
"""What the samples of a packed minute add up to, by group of endpoints: a compressed `GroupedSamples`."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False, index=True),
    sa.Column("worker_id", sa.String(32), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)
