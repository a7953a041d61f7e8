PYTHON ?= python3
BIN = .venv/bin

# Trains the default experiment: a wavelet M5 on sounds that it renders itself. More in ARGS="experiment=… trainer=…".
train: .venv/installed
	$(BIN)/python -m experiments.train $(ARGS)

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --cov

# Measures all benchmarks, about half an hour on two quiet cores, and writes docs/benchmarks.md.
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

.PHONY: train test bench
