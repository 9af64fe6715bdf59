# Everything needs Python 3.11 or newer and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXAMPLES := .venv-examples
ENGINES := .venv-engines
CLIENTS := .venv-clients
MINUTES ?= 30
# More than a machine has processors: tests wait as much as they compute.
PROCESSES ?= 6
# Some containers say that nothing compiled is kept; then each of the hundreds of processes compiles everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all test-long check format docs bench examples clients engines java faults soak outage clean

demo: $(READY)  ## A simulated exchange, a recording, and a look at the result
	$(BIN)/recorder demo

test: $(READY)  ## Every promise at a small size, in PROCESSES processes (0: in one)
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

test-all: $(READY) examples clients engines  ## Everything: all faults, all edits, more examples of each property, other packages, Spark
	TEST_ALL=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m 'not soak and not engines and not examples and not clients'

# The rest of the contract on PostgreSQL, pages in a browser, the wheel; not the sweeps of faults, edits of 100,000 frames and
# backfills of 100,000 orders.
test-long: $(READY)  ## What make test leaves to make test-all, but for its longest parts
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal --ignore tests/faults -k 'not 100000 and not a_long_past' \
	  -m 'long and not soak and not engines and not examples and not clients'

# SHARE=3/10: every tenth of the scenarios that make test leaves out, beginning with the third.
faults: $(READY)  ## Every fault it must live through; writes the matrix into docs/reliability.md
	$(BIN)/python -m pytest tests/faults -n $(PROCESSES) --dist worksteal \
	  $(if $(SHARE),-m 'long and not soak' --share $(SHARE),-m 'not soak' --matrix-into docs/reliability.md)

examples: $(EXAMPLES)/.ready  ## The examples, with the packages they are for: two GB, in a folder of their own
	$(EXAMPLES)/bin/python -m pytest tests/examples -m examples --timeout 600

clients: $(CLIENTS)/.ready  ## What other people's clients of exchanges understand, beside what is recorded; in a folder of its own
	$(CLIENTS)/bin/python -m pytest tests/clients -m clients --timeout 600

soak: $(READY)  ## Faults mixed at random, for MINUTES
	$(BIN)/python -m pytest tests/faults/test_mixed.py -m soak --soak-minutes $(MINUTES) -s --timeout 0

check: $(READY)  ## Lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## Write what is generated: docs/schema.md, and the answers in docs/queries.md
	$(BIN)/python -m tests.docs

bench: $(READY)  ## How near to its limits it runs, and what questions cost on a long record
	$(BIN)/python -m tests.bench

outage: $(READY)  ## Five million frames wait for a server that comes back: some ten minutes, some ten GB
	$(BIN)/python -m tests.faults.outage

engines: java $(ENGINES)/.ready  ## The same queries on all engines, Spark too: a GB in a folder of its own, and Java
	$(ENGINES)/bin/python -m pytest tests/engines -m '' --timeout 900

java:  ## Whether there is one that Spark can use
	@java -version 2>&1 | awk -F '"' '/version/ { found = $$2 + 0 >= 17 } END { exit !found }' \
	  || { echo "Spark needs Java 17 or newer: apt-get install default-jre-headless"; exit 2; }

clean:  ## Remove what was made here
	rm -rf $(VENV) $(EXAMPLES) $(ENGINES) $(CLIENTS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "recorder needs Python 3.11 or newer; name one: make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

# A folder for each extra that make installs beside: what it is for must not decide over what the tests run with.
.venv-%/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
