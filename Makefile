# Everything a developer or a newcomer does. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Install Debian packages, as root or through sudo.
apt = command -v apt-get >/dev/null && echo "installing $(1) from Debian's packages" && \
  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo) && export DEBIAN_FRONTEND=noninteractive && \
  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq $(1) >/dev/null

.DEFAULT_GOAL := help
.PHONY: help compiler setup demo test check lint types layers docs-lint tests bench postgis db-up db-down migration wheel-check clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment in .venv and install snapdb into it

$(STAMP): pyproject.toml $(wildcard snapdb/bulk/*/_*.c)
	@echo "setting up .venv (the first time takes a minute or two)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv >/dev/null 2>&1 || \
	  { $(call apt,python3-venv) && $(PYTHON) -m venv .venv; } || \
	  { echo "$(PYTHON) -m venv fails; snapdb needs Python 3.11 or later with its venv module"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

demo: setup ## Make a small survey, ingest it, find a supernova in it and draw its epochs
	@$(BIN)/snapdb demo demo

test: compiler setup postgis ## Run all tests, on SQLite and on PostGIS
	$(BIN)/python -m pytest

compiler: # See that C can be compiled for Python, or install Debian's; snapdb works without, slower
	@include=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	if command -v cc >/dev/null && [ -e "$$include/Python.h" ]; then exit 0; fi; \
	$(call apt,gcc libc6-dev python3-dev) || echo "no C compiler: bulk cutouts will be slower"
	@if command -v cc >/dev/null && ! ls snapdb/bulk/shape/_windows*.so >/dev/null 2>&1; then rm -f $(STAMP); fi

postgis: # See that there is a PostGIS for the tests, or install Debian's
	@if [ -n "$$SNAPDB_TEST_DSN" ] || docker info >/dev/null 2>&1; then exit 0; fi; \
	if ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 \
	   && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then exit 0; fi; \
	$(call apt,postgresql postgresql-15-postgis-3)

check: compiler setup postgis lint types layers docs-lint wheel-check tests ## All that CI runs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

docs-lint: setup
	$(BIN)/numpydoc lint $$(git ls-files 'snapdb/*.py' 'cli/*.py')

tests: compiler setup postgis
	$(BIN)/python -m pytest

bench: setup postgis ## Time snapdb and its peers side by side
	$(BIN)/python -m pytest tests/benchmarks -m benchmark -s

db-up: ## Start the PostGIS service of docker-compose.yml
	docker compose up --detach --wait

db-down: ## Stop it; its data stays in the volume
	docker compose down

migration: setup ## Write a migration of what changed in the tables: make migration MESSAGE="add x"
	$(BIN)/alembic revision --autogenerate --message "$(MESSAGE)"

wheel-check: setup ## Build the wheel, install it into a fresh environment and import all of it
	$(BIN)/python -m pytest tests/packaging -m packaging

clean: ## Remove what can be made again
	rm -rf snapdb/bulk/*/*.so .venv build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
