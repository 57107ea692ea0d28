"""Shared vocabulary: time, timers, addresses, identifiers, states and outcomes. Standard library only."""
