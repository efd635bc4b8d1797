# `make` alone explains the verbs. Only Python >= 3.11, git and make need to be there.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV := .venv/.installed-dev
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup dev repro demo gpu test slow lint format lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP)  ## create .venv with what the pipeline needs (requirements.lock; once, again when it changes)

dev: $(DEV)  ## the same with every extra, tests and checks (requirements-dev.lock)

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"lookalike needs Python >= 3.11, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.11 setup")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing requirements.lock into .venv (about 5 GB on Linux, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)

$(DEV): $(STAMP) requirements-dev.lock
	@echo "installing requirements-dev.lock into .venv: Gradio, FAISS, ONNX, Ray, Playwright and the tools of tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(DEV)

repro: setup  ## run the pipeline: only what changed runs again
	@dvc repro

demo: dev  ## a page to search, compare and draw on, with the trained heads
	@python -m pipeline demo

gpu:  ## benchmarks and tests of a CUDA card, with what is installed: benchmarks/gpu_*.csv (ten minutes at most)
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m pipeline.commands.bench_gpu

test: dev  ## the quick tests, one process a core, 8 at most
	@pytest -n auto --maxprocesses 8 --dist loadfile

slow: dev  ## the slow tests too
	@pytest -m ""

lint: dev  ## ruff: style and format; basedpyright: types
	@ruff check .
	@ruff format --check .
	@basedpyright

format: dev  ## let ruff rewrite the files
	@ruff check --fix .
	@ruff format .

COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --quiet --custom-compile-command "make lock"

lock: setup  ## compile both lock files from pyproject.toml anew (needs uv)
	@$(COMPILE) --group dev --all-extras -o requirements-dev.lock
	@$(COMPILE) -c requirements-dev.lock -o requirements.lock

clean:  ## remove .venv, artifacts and caches (not DVC's cache of results)
	rm -rf .venv artifacts .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
