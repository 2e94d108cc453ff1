# `make demo` and `make test` are all that a fresh machine needs: each installs what it uses.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

APP := .venv-app

.PHONY: demo app benchmark test test-all web web-test lint format docs clean

demo: $(INSTALLED)
	$(BIN)/facemask-inpaint demo --out runs/demo

# In an environment of its own: Gradio wants an older Pillow than the rest is tested with.
app: $(APP)/.installed
	$(APP)/bin/facemask-inpaint app

benchmark: $(INSTALLED)
	$(BIN)/python examples/benchmark_portraits.py

# Two processes of one thread each; the tests of one file share fixtures and stay together.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) --slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A static page that fills faces in the browser; npm brings onnxruntime-web.
web: $(INSTALLED)
	$(BIN)/python examples/web/build.py --out build/web

web-test: web
	$(BIN)/python -m pytest tests/export/test_web.py

docs: $(INSTALLED)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) $(APP) build dist docs/_build docs/_generated .pytest_cache .mypy_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]"
	touch $@

$(APP)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(APP)
	$(APP)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[app]"
	touch $@
