# make demo    install, run the demo's 61 rows on this machine, print where the gallery is
# make quick   while you work: the rooms without networks, no cluster, no browser
# make test    install with the developers' tools, run the tests
# make slow    what takes long: clusters that claim GPUs, what the drawn world knows, every variant compiled
# make check   lint and types          make chaos   longer kill, fault and load runs
# make demo-kill   the demo with its driver killed half way: what was lost, made twice, repeated
# make bench   the job against the bare sampler
# make rehearsal   every family at full size on random weights, by the CPU: 30 GB of disk, 24 GB of memory, 30 minutes
#
# CI runs test, slow and check. PIP_ARGS reaches every pip call, as in: make demo PIP_ARGS="--index-url …"

PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
CONFIG ?= configs/demo.yaml
# A file's tests in one process. Three on two cores, as some tests wait; of those that start clusters two.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
ELSEWHERE := not chaos and not load and not gpu
FILES = $(shell grep -rlE "mark\.$(1)" tests --include="test_*.py" | sort)
WITHOUT_CLUSTER := -n 3 -m "$(ELSEWHERE) and not cluster
WITH_CLUSTER := -n 2 -m "$(ELSEWHERE) and cluster
# $(call both,FIRST,SECOND) runs both whatever the first says, and ends with the worse code. With PYTEST_ARGS one may be
# without tests, as -k and the like may leave it.
NO_TESTS = $(if $(PYTEST_ARGS),5,never)
both = code() { [ $$1 = $(NO_TESTS) ] && echo 0 || echo $$1; }; \
	$(1); first=$$(code $$?); \
	$(2); second=$$(code $$?); \
	exit $$((first > second ? first : second))
HEAVY := golden networks adapters sampling full_size benchmark tiny chaos gpu actors/test_short_memory.py
# Files of tests go into memory where there is room: tests of manifests are twice as fast.
export PYTEST_DEBUG_TEMPROOT ?= $(shell df --output=avail -BG /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 + 0 >= 8 {print "/dev/shm"}')
REHEARSAL ?= output/rehearsal

.PHONY: demo demo-kill test quick slow check chaos bench rehearsal clean

demo: .venv/.installed
	$(BIN)/python jobs/generate.py $(CONFIG)

test: .venv/.installed-dev
	$(call both,\
		$(PYTEST) $(WITHOUT_CLUSTER) and not slow" $(PYTEST_ARGS),\
		$(PYTEST) $(WITH_CLUSTER) and not slow" $(call FILES,cluster) $(PYTEST_ARGS))

quick: .venv/.installed-dev
	$(PYTEST) $(WITHOUT_CLUSTER) and not slow and not browser" $(HEAVY:%=--ignore=tests/%) $(PYTEST_ARGS)

slow: .venv/.installed-dev
	$(call both,\
		$(PYTEST) $(WITHOUT_CLUSTER) and slow" $(call FILES,slow) $(PYTEST_ARGS),\
		$(PYTEST) $(WITH_CLUSTER) and slow" $(call FILES,cluster) $(PYTEST_ARGS))

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini

chaos: .venv/.installed-dev
	$(BIN)/python -m pytest -m "chaos or load" $(PYTEST_ARGS)

demo-kill: .venv/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m chaos.demo_kill

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
