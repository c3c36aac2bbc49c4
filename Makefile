# Two commands do it all on a fresh Debian or Ubuntu machine (root, Python 3.11+): `make demo` and `make test`.
PYTHON := .venv/bin/python
SAMPAN := .venv/bin/sampan

.PHONY: help setup dev demo down test soak lint format bench build

help:
	@echo "make setup   install what sampan needs; afterwards .venv/bin/sampan up starts a cluster"
	@echo "make demo    set up, then walk through the first application on real containers"
	@echo "make down    stop the demo's cluster (its data is kept)"
	@echo "make test    the tests: recorded answers, unit, contract, integration, end to end"
	@echo "make soak    the same with the full counts (hours)"
	@echo "make lint    ruff, mypy strict, import-linter"
	@echo "make bench   measure, as shares of the bare limit"

setup:
	@scripts/setup.sh

dev:
	@scripts/setup.sh dev

demo: setup
	@scripts/demo.sh

down:
	@$(SAMPAN) down

test: dev
	$(PYTHON) tests/golden/run
	$(PYTHON) -m pytest

soak: dev
	$(PYTHON) tests/golden/run
	SAMPAN_SOAK=1 $(PYTHON) -m pytest --timeout 7200

lint: dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

format: dev
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench: dev
	$(PYTHON) -m bench

build: dev
	$(PYTHON) -m pip wheel --no-deps -w dist .
