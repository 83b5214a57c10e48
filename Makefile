# make demo: train on the embedded digits and write a report.  make test: the tests.  make docs: the site, in build/site.
# All set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-all lint docs docs-serve bench clean

demo: $(VENV)/.demo
	rm -rf runs/demo
	$(BIN)/atmnet train --config digits --output runs/demo
	$(BIN)/atmnet evaluate runs/demo/last --report runs/demo/report.html
	@echo "open runs/demo/report.html"

test: $(VENV)/.dev $(VENV)/timm-tests
	$(PYTEST)

test-all: $(VENV)/.dev $(VENV)/timm-tests
	$(PYTEST) -m ""

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A warning, a link that leads nowhere, a public name that is not explained, a file from another server: each is an error.
docs: $(VENV)/.docs
	$(BIN)/python -m website.stage
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m website.check build/site

docs-serve: docs
	$(BIN)/zensical serve --dev-addr 127.0.0.1:8000

bench: $(VENV)/.dev demo
	$(BIN)/python -m benchmarks.parity
	$(BIN)/python -m benchmarks.operator
	$(BIN)/python -m benchmarks.layer
	$(BIN)/python -m benchmarks.fold
	$(BIN)/python -m benchmarks.model
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.dense_size
	$(BIN)/python -m benchmarks.runtimes
	$(BIN)/python -m benchmarks.scenes
	$(BIN)/python -m benchmarks.eight_bits runs/demo runs/scenes/semantic_fpn-0
	$(BIN)/python -m benchmarks.ecosystem
	$(BIN)/python -m benchmarks.tables

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.demo $(VENV)/.docs

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[docs]'
	touch $@

# timm's own tests come with its source distribution alone.
$(VENV)/timm-tests: $(VENV)/.dev
	rm -rf $@ $@.tmp
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary timm --dest $@.tmp \
		"timm==$$($(BIN)/python -c 'import importlib.metadata as m; print(m.version("timm"))')"
	tar -xzf $@.tmp/*.tar.gz -C $@.tmp --strip-components 1
	mv $@.tmp $@
	touch $@
