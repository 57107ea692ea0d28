"""The link between worker and gateway: messages, sample batches, both roles. No I/O.

`WorkerLink` is the worker's role from the bytes of one TCP stream up; `GatewayLink` is the gateway's role from whole
WebSocket messages up. docs/link-protocol.md describes what is on the wire.
"""
