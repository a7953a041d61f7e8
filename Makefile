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

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[experiments,images,test]" --constraint constraints.txt
	touch $@

.PHONY: train test
