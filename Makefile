# make setup | demo | test | check | crash | bench   (ARGS= passes arguments on)

PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)
DEMO := $(wildcard examples/demo/pyproject.toml)
EDITABLE := $(foreach file,$(PLUGINS) $(DEMO),-e $(dir $(file)))
PROJECTS := pyproject.toml $(PLUGINS) $(DEMO)
ARGS ?=
CYCLES ?= 100
# The tests wait more than they compute.
WORKERS ?= $(shell expr $$(nproc) + 1)
MUTATIONS ?= 100000
# With one build tool for all projects, not an environment made for each.
BUILD := --no-build-isolation
INSTALL := $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install -q

.PHONY: help setup demo test lint check fmt crash mutations bench peers clean
# The stamps share one environment: with -j two installers would fight over it.
.NOTPARALLEL:

help:
	@echo "make setup         set up .venv with everything (the others do it themselves)"
	@echo "make demo          run the main job, visibly (ARGS=--keep leaves it running)"
	@echo "make test          run the tests (ARGS= narrows to paths)"
	@echo "make check         lint, types, layers, tests: what CI runs"
	@echo "make lint          all of that but the tests"
	@echo "make fmt           format, and mend what the linter can"
	@echo "make crash         kill -9 under load (CYCLES=100)"
	@echo "make mutations     post broken webhooks (MUTATIONS=100000)"
	@echo "make bench         measure (ARGS=--keep writes docs/performance.md; --rounds 5)"
	@echo "make peers         install the real peers of the tests (Debian, root)"
	@echo "make clean         remove .venv and build"

setup: .venv/.dev

# Core and plugins in one call, so that the core is this folder and nobody else's.
# --without-pip: Debian splits ensurepip off; pip works on the venv from outside.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than 3.11: make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
	  echo "$(PYTHON) has no pip: apt-get install python3-pip" >&2; exit 1; }
	@$(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python $(BIN)/python --version >/dev/null 2>&1 || { \
	  echo "pip is older than 22.3 (no --python): $(PYTHON) -m pip install -U pip" >&2; exit 1; }
	@$(INSTALL) "setuptools>=77"
	@touch $@

.venv/.demo: .venv/.made $(PROJECTS)
	@$(INSTALL) $(BUILD) -e ".[demo]" $(EDITABLE)
	@touch $@

.venv/.dev: .venv/.made $(PROJECTS)
	@$(INSTALL) $(BUILD) -e ".[demo,dev,postgresql]" $(EDITABLE)
	@touch $@ .venv/.demo

demo: .venv/.demo
	@$(BIN)/gateway demo $(ARGS)

test: .venv/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy -p gateway
	@for project in $(PLUGINS) $(DEMO); do \
	  MYPYPATH=$$(dirname $$project)/src $(BIN)/mypy $$(dirname $$project)/src || exit 1; done
	@$(BIN)/lint-imports --no-logo

check: lint test

fmt: .venv/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

mutations: .venv/.dev
	@MUTATIONS=$(MUTATIONS) $(BIN)/python -m pytest -s --durations=1 \
	  plugins/whatsapp/tests/test_malformed.py $(ARGS)

crash: .venv/.dev
	@$(BIN)/python tests/crash/loop.py --cycles $(CYCLES) $(ARGS)

bench: .venv/.dev
	@$(BIN)/python benchmarks/run.py $(ARGS)

peers:
	@scripts/install-peers.sh $(ARGS)

clean:
	@rm -rf .venv build
