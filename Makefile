# make demo   sets up and audits an example: prints the verdict and where the report lies
# make test   sets up and runs all that CI runs, but for the tests marked slow
# make bench  benchmarks beside their peers;  make simulate  coverage of the intervals (an hour or two)

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO = evenhand-demo

.PHONY: demo test slow lint bench simulate clean

$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

# netcal is a reference of the calibration tests; what it would pull in besides is not needed for that.
$(VENV)/dev: $(VENV)/core
	$(PIP) -e ".[dev]"
	$(PIP) --no-deps netcal
	touch $@

demo: $(VENV)/core
	$(BIN)/python examples/draw_predictions.py $(DEMO)/predictions.parquet
	$(BIN)/evenhand audit $(DEMO)/predictions.parquet --arm arm --run run --reference full \
	  --by race --by sex --html $(DEMO)/report.html --json $(DEMO)/result.json

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2 -m "not slow" --cov --cov-report=term

slow: $(VENV)/dev
	$(BIN)/pytest -m slow

bench: $(VENV)/dev
	$(BIN)/python -m benchmarks.audit

simulate: $(VENV)/dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.simulate

clean:
	rm -rf $(VENV) .venv-ci $(DEMO) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
