# Everything there is to run. Each target prepares .venv by itself; delete it with `make clean`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# As many test processes as cores: matrix products in each must not want all of them.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# A test process that dies ends the run as failed; without this it is started again and again.
ON_ALL_CORES := -n auto --dist loadfile --max-worker-restart=0

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench docs quality clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(INSTALLED) ## make two songs and match one to the other: demo/demo-mix-mastered.wav
	@$(BIN)/python -m matcher.demo demo
	$(BIN)/match demo/demo-mix.wav demo/demo-reference.wav -o demo/demo-mix-mastered.wav --force
	@echo "The master: demo/demo-mix-mastered.wav, beside demo/demo-mix.wav and demo/demo-reference.wav"

test: $(INSTALLED) ## the tests, without those that take minutes, on all cores
	$(ONE_THREAD) $(BIN)/python -m pytest -m "not slow" $(ON_ALL_CORES)

test-all: $(INSTALLED) ## all tests
	$(ONE_THREAD) $(BIN)/python -m pytest $(ON_ALL_CORES)

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: demo ## what each stage costs, and the whole beside a program of stock library calls
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/speed.py demo/demo-mix.wav demo/demo-reference.wav

docs: $(INSTALLED) ## what is generated in docs/, pictures included (needs chromium)
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_schema.py
	$(BIN)/python docs/make_delivery.py
	$(BIN)/python docs/make_screenshots.py

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
	@# librosa compiles itself at its first import; several processes that did so at a time have crashed.
	@$(BIN)/python -W ignore -c 'from librosa import core, feature, onset, segment, util'
	@touch $@
