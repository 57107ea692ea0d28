"""Schema revisions of the store, run by `cmw.gateway.database` at start."""
