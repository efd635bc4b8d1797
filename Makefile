# Ten verbs. `make` alone explains them. Only Python >= 3.11, git and make need to be there.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup repro demo test slow lint format lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP)  ## create .venv and install requirements.lock (once; again when it changes)

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"lookalike needs Python >= 3.11, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11 setup")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing requirements.lock into .venv (about 5 GB on Linux, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)

repro: setup  ## run the pipeline: only what changed runs again
	@dvc repro

demo: setup  ## a page to search, compare and draw on, with the trained heads
	@python -m pipeline demo

test: setup  ## the quick tests, one process a core, 8 at most
	@pytest -n auto --maxprocesses 8 --dist loadfile

slow: setup  ## the slow tests too
	@pytest -m ""

lint: setup  ## ruff: style and format
	@ruff check .
	@ruff format --check .

format: setup  ## let ruff rewrite the files
	@ruff check --fix .
	@ruff format .

lock: setup  ## compile requirements.lock from pyproject.toml anew (needs uv)
	@uv pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet -o requirements.lock

clean:  ## remove .venv, artifacts and caches (not DVC's cache of results)
	rm -rf .venv artifacts .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
