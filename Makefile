# make demo    install, run the demo's 61 rows on this machine, print where the gallery is
# make test    install with the developers' tools, run the tests (20 to 40 minutes on 2 cores)
# make quick   the rooms without networks, no cluster, no browser
# make slow    the slow lane: clusters that claim GPUs, what the drawn world knows, every variant compiled
# make check   lint and types          make chaos   longer kill, fault and load runs
# make bench   the job against the bare sampler
# make rehearsal   every family at full size on random weights, by the CPU: 30 GB of disk, 24 GB of memory, 30 minutes
#
# CI runs test, slow and check. PIP_ARGS reaches every pip call, as in: make demo PIP_ARGS="--index-url …"

PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
CONFIG ?= configs/demo.yaml
# Three processes on two cores: the two that have the Ray clusters, one at a time each, often wait (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
ELSEWHERE := not chaos and not load and not gpu
HEAVY := golden networks adapters sampling full_size benchmark tiny chaos gpu actors/test_short_memory.py
REHEARSAL ?= output/rehearsal

.PHONY: demo test quick slow check chaos bench rehearsal clean

demo: .venv/.installed
	$(BIN)/python jobs/generate.py $(CONFIG)

test: .venv/.installed-dev
	$(PYTEST) -m "$(ELSEWHERE) and not slow" $(PYTEST_ARGS)

quick: .venv/.installed-dev
	$(PYTEST) -m "$(ELSEWHERE) and not slow and not cluster and not browser" $(HEAVY:%=--ignore=tests/%) $(PYTEST_ARGS)

slow: .venv/.installed-dev
	$(PYTEST) -m "$(ELSEWHERE) and slow" $(PYTEST_ARGS)

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

chaos: .venv/.installed-dev
	$(BIN)/python -m pytest -m "chaos or load" $(PYTEST_ARGS)

bench: .venv/.installed
	$(BIN)/python jobs/benchmark.py $(CONFIG)

rehearsal: .venv/.installed
	$(BIN)/python -m idgen.full_size $(REHEARSAL)

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(PIP_ARGS) -c constraints.txt -e ".[cpu]"
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install $(PIP_ARGS) -c constraints.txt -e ".[cpu,dev]"
	touch $@

clean:
	rm -rf .venv output
