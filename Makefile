# Everything there is to run. Each target prepares .venv by itself; delete it with `make clean`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench quality clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(INSTALLED) ## make two songs and match one to the other: demo/demo-mix-mastered.wav
	@$(BIN)/python -m matcher.demo demo
	$(BIN)/match demo/demo-mix.wav demo/demo-reference.wav -o demo/demo-mix-mastered.wav --force
	@echo "The master: demo/demo-mix-mastered.wav, beside demo/demo-mix.wav and demo/demo-reference.wav"

test: $(INSTALLED) ## the tests, without those that take minutes
	$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED) ## all tests
	$(BIN)/python -m pytest

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(INSTALLED) ## what each stage costs, on songs made for it
	$(BIN)/python benchmarks/stages.py

quality: $(INSTALLED) ## how good the matches are on the albums in MUSIC=folder
	$(BIN)/python benchmarks/quality.py "$(MUSIC)" --json quality.json --plot quality.svg

clean: ## remove .venv, builds, caches and the demo
	rm -rf .venv build dist demo .pytest_cache .hypothesis .ruff_cache .mypy_cache
	find dsp matcher tests -name __pycache__ -prune -exec rm -rf {} +

# Installed anew when the dependencies or a kernel change; Python files are used where they stand.
$(INSTALLED): pyproject.toml CMakeLists.txt $(wildcard dsp/kernels/*.cpp dsp/kernels/*.hpp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
