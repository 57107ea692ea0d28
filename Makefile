# Every target does its own set-up; nothing has to be run before.
#
#   make demo    a callee, a gateway and a worker on loopback: 20 calls, a report, a verdict
#   make test    the tests                    ARGS="tests/sip -k digest" narrows them
#   make fuzz    hostile input for a minute a target, on all cores   CMW_FUZZ_SECONDS=600 for longer
#   make check   format, lint, strict types, stubs of the compiled modules, layers
#   make bench   the benches                  ARGS="..." narrows them, SECONDS=60 makes the windows of media longer
#   make peers   the real programs that some tests talk to (Debian packages; needs root)
#   make image   the container image, with docker or podman     make image-test  runs it, in limits (needs root)
#   make compose-test   compose.yaml for real, with the image that make image-test made (needs root)
#   make clean   remove what the others made

PYTHON_SOURCES := cmw tests bench setup.py
SECONDS ?= 2
ALONE := tests/cli tests/faults tests/fuzz tests/peers bench
COMPILED := $(wildcard cmw/*.pyx cmw/*.pxd cmw/net/*.pyx cmw/net/*.pxd cmw/sip/*.pyx)
IN := .venv/bin

.PHONY: help setup demo test fuzz check bench peers image image-test compose-test clean

help:
	@sed -n 's/^#  *make/make/p' Makefile

setup:
	@.ci/setup

demo: setup
	@$(IN)/cmw demo $(ARGS)

# Most tests wait for timers and sockets, so three files run at a time; those of whole runs judge their own generator
# and have the machine to themselves.
test: setup
ifdef ARGS
	@$(IN)/python -m pytest $(ARGS)
else
	@$(IN)/python -m pytest -n 3 --dist loadfile tests $(addprefix --ignore=,$(ALONE)); \
	beside=$$?; $(IN)/python -m pytest $(ALONE) && exit $$beside
endif

fuzz: setup
	@CMW_FUZZ_SECONDS=$${CMW_FUZZ_SECONDS:-60} $(IN)/python -m pytest -n auto tests/fuzz $(ARGS)

check: setup
	@$(IN)/ruff format --check $(PYTHON_SOURCES)
	@$(IN)/ruff check $(PYTHON_SOURCES)
	@PATH="$(CURDIR)/$(IN):$$PATH" cython-lint $(COMPILED)
	@$(IN)/mypy
	@$(IN)/python -m mypy.stubtest --concise --allowlist .ci/stubs-allowed --ignore-unused-allowlist cmw._rtp cmw.net._media cmw.net._yardstick cmw.sip._scan
	@$(IN)/python -m pytest -q tests/test_layers.py tests/test_imports.py

bench: setup
	@$(IN)/python -m pytest bench --benchmark-enable $(ARGS)
	@$(IN)/python -m bench.media_tiers --seconds $(SECONDS) --rounds 3 --tiers 25 200 500 1000 2000
	@$(IN)/python -m bench.media_peer --seconds $(SECONDS) --rounds 1
	@$(IN)/python -m bench.media_jitter --endpoints 200 --seconds $(SECONDS) --rounds 1
	@$(IN)/python -m bench.media_memory --endpoints 100 500
	@$(IN)/python -m bench.gateway
	@if command -v sipp >/dev/null; then $(IN)/python -m bench.sip_calls; fi

peers:
	@.ci/peers

image:
	@.ci/image

image-test:
	@.ci/image-test

compose-test: setup
	@.ci/compose-test

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f cmw/*.so cmw/*.c cmw/net/*.so cmw/net/*.c cmw/sip/*.so cmw/sip/*.c
	find cmw tests bench -name __pycache__ -type d -exec rm -rf {} +
