"""The gateway: tokens, workers, runs and results behind one REST API, on an embedded store.

server   sockets, TLS, start and stop around uvicorn
app      the ASGI application: API, health, link endpoint
rest     the REST API: routes, envelopes, roles, limits
service  `Gateway`: everything the API can do, for callers in the same process too
coordinator, conductor   runs, from the plan to the summary
hub      live links of the workers
journal  group commit of what workers report, before it is acknowledged
store    database, tables, migrations
"""
