"""The worker: dials out to a gateway, registers endpoints, places and answers calls, sends and measures RTP."""
