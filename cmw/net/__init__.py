"""The outside world: sockets, clocks and randomness, and the driver that runs sans-IO machines on them."""
