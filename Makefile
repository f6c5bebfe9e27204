# make run    install into .venv and start the studio (ARGS="--port 8000" passes flags on)
# make test   install what the tests need and run all checks
# make check  the fast checks only: format, lint, types, walls
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=
TESTS ?= tests

.PHONY: run test check format clean

run: $(VENV)/.installed
	$(BIN)/python app.py $(ARGS)

test: check $(VENV)/.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

check: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt install python3.11 python3.11-venv, or make PYTHON=python3"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The venv module is missing: apt install python3.11-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.installed
	$(PIP) install --quiet --editable '.[test]'
	touch $@

$(VENV)/.browser: | $(VENV)/.installed-test
	sh tests/browser/install.sh
	touch $@
