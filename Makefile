PYTHON ?= python3
BIN = .venv/bin

help:
	@grep -A1 '^# ' Makefile | grep -v '^--' | sed 'N;s/^# \(.*\)\n\([a-z]*\):.*/\2\t\1/'

# Trains M5 shared over scales and its plain twin, and draws both over playback speeds. With ARGS="…": experiments.train
train: .venv/installed
	$(BIN)/python -m $(if $(ARGS),experiments.train $(ARGS),experiments.study)

# Runs ruff, mypy and all tests
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --cov

# Writes docs/results.md from the studies in runs/studies
results: .venv/installed
	$(BIN)/python -m experiments.report.page

# Measures all benchmarks, about half an hour on two quiet cores, and writes docs/benchmarks.md
bench: .venv/installed
	$(BIN)/python -m benchmarks.forward --batch 4 --out docs/benchmarks
	$(BIN)/python -m benchmarks.forward --batch 16 --rounds 3 --out docs/benchmarks
	$(BIN)/python -m benchmarks.forward --dim 2 --batch 4 --rounds 3 --out docs/benchmarks
	$(BIN)/python -m benchmarks.limits --out docs/benchmarks
	$(BIN)/python -m benchmarks.limits --dim 2 --out docs/benchmarks
	$(BIN)/python -m benchmarks.scaling --out docs/benchmarks
	$(BIN)/python -m benchmarks.latency --out docs/benchmarks
	$(BIN)/python -m benchmarks.page

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[experiments,images,test]" --constraint constraints.txt
	touch $@

.PHONY: help train test results bench
