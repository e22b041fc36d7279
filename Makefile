# What one does with this tree. `make help` lists the targets; `make up` and `make test` need nothing but Python, make
# and a C compiler, and make everything else themselves. Options for the program behind a target go into ARGS:
#     make up ARGS="--files ./public"        make test ARGS="-k chunked"

VENV   := .venv
BIN    := $(VENV)/bin
# The environment of a calling shell must not leak into ours, nor ask for a newer pip.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV := 1
unexport PYTHONHOME

# The locks are made with 3.11, so that is taken first; any later one will do.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v $$p; break; }; done)

PIP_INSTALL := $(BIN)/python -m pip install --quiet --require-hashes
FUZZ_COUNT  ?= 20000

.DEFAULT_GOAL := help
.PHONY: help up test check lint format types tests fuzz bench bench-smoke docs lock clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.run ## Start the lodge (ARGS: what `netlodge up` takes)
	@$(BIN)/netlodge up $(ARGS)

test: $(VENV)/.dev ## Run the tests (ARGS: what pytest takes)
	$(BIN)/python -m pytest $(ARGS)

check: lint types tests ## What CI runs: lint, types, tests with the architecture, coverage of wire and rules

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Lay the code out as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	$(BIN)/mypy

tests: $(VENV)/.dev
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

fuzz: $(VENV)/.dev ## Feed the parsers FUZZ_COUNT made-up inputs each
	@for target in $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.py))); do \
		echo "$$target:" && $(BIN)/python -m tests.fuzz.$$target --count $(FUZZ_COUNT) || exit 1; done

bench: $(VENV)/.bench ## Measure beside nginx and the others (ARGS: what `python -m bench` takes)
	$(BIN)/python -m bench $(ARGS)

bench-smoke: $(VENV)/.bench ## Run every driver of the benchmark for a moment; the figures mean nothing
	$(BIN)/python -m bench --smoke

docs: $(VENV)/.run ## Write docs/settings.md anew from the settings' own descriptions
	$(BIN)/netlodge settings --markdown > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md

# No name of an index may stand in a lock: whoever installs uses the one that their pip is set to.
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

lock: $(VENV)/.dev ## Choose the newest versions that pyproject.toml allows, and write them to requirements/
	$(BIN)/python -m pip install --quiet 'pip-tools>=7.4'
	$(COMPILE) --upgrade --extra build --output-file requirements/run.lock pyproject.toml
	$(COMPILE) --upgrade --extra build --extra dev --constraint requirements/run.lock \
		--output-file requirements/dev.lock pyproject.toml
	$(COMPILE) --upgrade --extra build --extra dev --extra bench --constraint requirements/dev.lock \
		--output-file requirements/bench.lock pyproject.toml

clean: ## Remove what the targets made (not the lodge's data)
	rm -rf $(VENV) build dist bench/build bench/results .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

# --- The environment ------------------------------------------------------------------------------------------------
# One stamp per lock: a second run does nothing, a changed lock installs again.

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo 'Netlodge needs Python 3.11 or newer, and none of these is it: $(CANDIDATES).'; \
		echo 'On Debian 12 or newer: sudo apt-get install python3'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments: its venv module is not installed.'; \
		echo 'On Debian: sudo apt-get install python3-venv'; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	$(PIP_INSTALL) -r requirements/dev.lock
	@touch $@

$(VENV)/.bench: requirements/bench.lock $(VENV)/.dev
	$(PIP_INSTALL) -r requirements/bench.lock
	@touch $@
