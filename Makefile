# Everything one types while working on zopio-trigger. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast soak check format bench bench-quick plans clean

help:  ## List these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Make the virtual environment (.venv) with everything the tests need

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"error: zopio-trigger needs Python 3.11 or newer and {sys.executable} is {v.major}.{v.minor}; run make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup  ## Run the platform on SQLite, send the example events, watch the runs complete
	$(BIN)/python -m examples.demo

test: setup check  ## Everything CI runs: checks and all tests
	$(BIN)/python -m pytest

test-fast: setup  ## The quick subset, for all day
	$(BIN)/python -m pytest -m 'not slow' -q

soak: setup  ## Kill a process hundreds of times under load; prints its seed (SOAK_ROUNDS, SOAK_SEED)
	SOAK_ROUNDS=$${SOAK_ROUNDS:-300} $(BIN)/python -m pytest tests/acceptance/test_kill.py -s -q
	$(BIN)/python -m pytest tests/acceptance -m soak -s -q

check: setup  ## ruff, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup  ## Measure everything (two minutes on an idle machine); docs/benchmarks.md
	$(BIN)/python -m benchmarks --json build/benchmarks/report.json

bench-quick: setup  ## Measure W1 W2 W3 W4 only, three repetitions
	$(BIN)/python -m benchmarks W1 W2 W3 W4 --repeat 3

plans: setup  ## Build a store of a million runs, show how each statement finds its rows, time the common reads
	$(BIN)/python -m benchmarks.plans

clean:  ## Remove what the commands above made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
