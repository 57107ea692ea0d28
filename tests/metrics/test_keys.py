"""The table of metrics is consistent, and the page made from it is up to date."""

from __future__ import annotations

from pathlib import Path

from cmw.metrics.keys import COLUMNS, METRICS, TIMING_KEYS, Kind, by_key, markdown

ROOT = Path(__file__).parents[2]


def test_every_key_is_there_once() -> None:
    assert len(by_key) == len(METRICS)


def test_the_page_is_made_from_the_table() -> None:
    """After a change: python -m cmw.metrics.keys > docs/metrics.md."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == markdown()


def test_columns_carry_their_side_and_type() -> None:
    assert COLUMNS["receive.jitter_ms"].metric.column == "f"
    assert COLUMNS["send.packets_sent"].metric.column == "I"
    assert {"send.mos", "receive.mos"} <= COLUMNS.keys()
    assert "receive.srtp_decrypt_failures" not in COLUMNS
    assert all(column.metric.column for column in COLUMNS.values())


def test_names_of_columns_fit_into_a_sample_frame() -> None:
    """cmw.link.samples: [A-Za-z0-9_.:/-]{1,64}."""
    assert all(len(name) <= 64 and name.replace("_", "").replace(".", "").isalnum() for name in COLUMNS)


def test_timing_has_the_keys_of_the_summary() -> None:
    wanted = {"time_to_trying_ms", "post_dial_delay_ms", "call_setup_time_ms", "call_duration_ms"}
    assert wanted <= set(TIMING_KEYS)
    assert all(by_key[key].kind is Kind.ONE_SHOT for key in TIMING_KEYS)


def test_no_cell_of_the_page_breaks_the_table() -> None:
    assert not [m.key for m in METRICS if "|" in m.definition + m.bands + m.source + m.unit]
