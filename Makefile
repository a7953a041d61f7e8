PYTHON ?= python3
BIN = .venv/bin
ESC50 ?= data/ESC-50
WEIGHTS = esc10 urbansound8k digits_rotated digits_rotated_plain vessels nuclei
ON_SCALES = model.base=1.41421356 model.num_scales=4 model.readout=gated model.dropout=0.3 \
	augment.rescale.low=0.5 augment.rescale.high=2 'rescale=[]'
SECOND = augment.turn=null model.dropout=0.1 data.val_share=0 # turned images are blurred; validation has settled the recipe
TURNED = 'augment.turn={_target_:experiments.data.image.transforms.Rotate,degrees:180,fill:null}' data.crop=96 data.foreground=0.5
ON_SPEEDS = data.val_fold=false model.base=3/2 model.num_scales=4 model.finer=1 model.dropout=0.2

# Lists these targets
help:
	@grep -A1 '^# ' Makefile | grep -v '^--' | sed 'N;s/^# \(.*\)\n\([a-z-]*\):.*/\2\t\1/'

# Trains two networks for sounds, plain and shared over scales, and draws both. With ARGS="…" runs experiments.train instead
train: .venv/installed
	$(BIN)/python -m $(if $(ARGS),experiments.train $(ARGS),experiments.study)

# Runs ruff, mypy and the quick tests, with one process for each core
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

# Runs the tests that `make test` leaves out, eight minutes on two quiet cores
test-slow: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow --ignore tests/test_demo_browser.py --numprocesses auto --dist loadfile

# Formats all code, and fixes what ruff can fix
format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Builds the site into site/, with warnings as errors: open site/index.html, or serve it to have the search as well
docs: .venv/installed
	$(BIN)/mkdocs build --strict

# Tests the demonstration in a headless browser, and takes docs/demo.png. Without Chromium it skips the test
test-browser: .venv/installed
	$(BIN)/pip install --quiet --editable ".[demo]" playwright --constraint constraints.txt
	$(BIN)/pytest -m slow tests/test_demo_browser.py

# Trains the networks in pretrained/ and writes them there. Needs ESC-50 in data/ESC-50 (or ESC50=FOLDER), others in data/
weights: $(WEIGHTS:%=runs/weights/%/results.json)
	$(BIN)/python -m experiments.report.weights $(^D)

runs/weights/esc10/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=esc10_log_mel $(ON_SPEEDS) data.root=$(ESC50) folder=$(@D)

runs/weights/urbansound8k/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=urbansound8k_log_mel $(ON_SPEEDS) data.test_fold=10 \
		augment.speed.low=0.5 augment.speed.high=2 trainer.precision=bf16-mixed folder=$(@D)

runs/weights/digits_rotated/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=digits_rotated model.width=12 augment=turn trainer=cpu folder=$(@D)

runs/weights/digits_rotated_plain/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=digits_rotated model.rotations=null model.width=22 augment=turn trainer=cpu folder=$(@D)

runs/weights/vessels/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=drive_unet $(ON_SCALES) trainer.max_epochs=20 test=false folder=$(@D)_first
	$(BIN)/python -m experiments.train experiment=drive_unet $(ON_SCALES) $(SECOND) weights=$(@D)_first \
		optimizer.lr=0.003 trainer.max_epochs=4 test=false folder=$(@D)_second
	$(BIN)/python -m experiments.train experiment=drive_unet $(ON_SCALES) $(SECOND) weights=$(@D)_second \
		optimizer.lr=0.003 trainer.max_epochs=20 folder=$(@D)

runs/weights/nuclei/results.json: | .venv/installed
	$(BIN)/python -m experiments.train experiment=monuseg_unet $(ON_SCALES) $(TURNED) test=false folder=$(@D)_first
	$(BIN)/python -m experiments.train experiment=monuseg_unet $(ON_SCALES) $(SECOND) weights=$(@D)_first \
		optimizer.lr=0.002 scheduler.pct_start=0.1 trainer.max_epochs=4 'rescale=[0.5,2]' folder=$(@D)

# Writes docs/results.md from the studies in runs/studies, and docs/models.md
results: .venv/installed
	$(BIN)/python -m experiments.report.page
	$(BIN)/python -m docs.models

# Measures all benchmarks, about an hour on two quiet cores, and writes docs/benchmarks.md
bench: .venv/installed
	$(BIN)/python -m benchmarks.forward --batch 4 --out docs/benchmarks
	$(BIN)/python -m benchmarks.forward --batch 16 --rounds 3 --out docs/benchmarks
	$(BIN)/python -m benchmarks.forward --dim 2 --batch 4 --rounds 3 --out docs/benchmarks
	$(BIN)/python -m benchmarks.limits --out docs/benchmarks
	$(BIN)/python -m benchmarks.limits --dim 2 --out docs/benchmarks
	$(BIN)/python -m benchmarks.scaling --out docs/benchmarks
	$(BIN)/python -m benchmarks.latency --out docs/benchmarks
	$(BIN)/python -m benchmarks.tiles --out docs/benchmarks
	$(BIN)/python -m benchmarks.page

# Builds wheel and sdist into dist/, checks them, and runs tests of the library out of the sdist
dist: .venv/installed
	rm -rf dist build
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	mkdir -p build/sdist && tar -xzf dist/*.tar.gz -C build/sdist --strip-components 1
	cd build/sdist && OMP_NUM_THREADS=1 $(abspath $(BIN))/pytest -q -p no:cacheprovider tests/library/test_layers.py

.venv/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[experiments,images,docs,test]" --constraint constraints.txt
	touch $@

.PHONY: help train test test-slow test-browser format docs weights results bench dist
