PYTHON ?= python3
BIN = .venv/bin
ESC50 ?= data/ESC-50
WEIGHTS = esc10 digits_rotated digits_rotated_plain

help:
	@grep -A1 '^# ' Makefile | grep -v '^--' | sed 'N;s/^# \(.*\)\n\([a-z-]*\):.*/\2\t\1/'

# Trains M5 shared over scales and its plain twin, and draws both over playback speeds. With ARGS="…": experiments.train
train: .venv/installed
	$(BIN)/python -m $(if $(ARGS),experiments.train $(ARGS),experiments.study)

# Runs ruff, mypy and all tests
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --cov

# Tests the demonstration in a headless browser, and takes docs/demo.png. Without a Chromium it says so and does nothing
test-browser: .venv/installed
	$(BIN)/pip install --quiet --editable ".[demo]" playwright --constraint constraints.txt
	$(BIN)/pytest tests/test_demo_browser.py

# Trains the networks in pretrained/ and writes them there. ESC-10 is in data/ESC-50, or in ESC50=FOLDER
weights: $(WEIGHTS:%=runs/weights/%/results.json)
	$(BIN)/python -m experiments.report.weights $(^D)

runs/weights/esc10/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=esc10_shared data.root=$(ESC50) folder=$(@D)

runs/weights/digits_rotated/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=digits_rotated model.width=12 augment=turn trainer=cpu folder=$(@D)

runs/weights/digits_rotated_plain/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=digits_rotated_plain +model.width=22 augment=turn trainer=cpu folder=$(@D)

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
	$(BIN)/python -m benchmarks.page

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[experiments,images,test]" --constraint constraints.txt
	touch $@

.PHONY: help train test test-browser weights results bench
