# `make demo` and `make test` do everything on a fresh clone: environment, installation, run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
# compiled modules are kept: tests and the demo start many processes
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fast lint install

demo: install
	$(BIN)/clipvil demo

test: install lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"
	$(BIN)/pytest -n 2 --maxschedchunk 1 -m slow

fast: install
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@
