# make demo: the main job on synthetic studies; make test: lint, types and all tests against the
# built wheel; make check: the fast part of it. Each sets up what it needs in $(VENV).

IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# The newest that runs: a name may be there and lead nowhere. PYTHON=... says another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
SOURCES := $(shell find spine_tf tfrecords tuner -name '*.py' -o -name '*.jinja' -o -name '*.mplstyle' -o -name py.typed -o -path '*/localization/weights/*' -type f)
PACKAGE := setup.cfg pyproject.toml README.md $(SOURCES)

.PHONY: help demo test check lint suite clean

help:
	@sed -n 's/^# //; 1,2p' Makefile

$(BIN)/python:
	@$(or $(PYTHON),false) -c '$(IS_SUPPORTED)' 2>/dev/null || { \
		echo "found no Python from 3.11 to 3.13: install one, or name it: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The wheel is built from scratch: setuptools would pack modules that an old build left behind.
$(VENV)/.demo: $(PACKAGE) | $(BIN)/python
	rm -rf build
	$(BIN)/pip install --quiet --disable-pip-version-check .
	touch $@

# Of so many packages most modules are never imported: those that are get compiled then.
$(VENV)/.test: $(PACKAGE) | $(BIN)/python
	rm -rf build
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile '.[beam,formats,test]'
	touch $@

demo: $(VENV)/.demo
	BIN=$(BIN) bash demo.sh demo

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint suite

check: MARKED := -m 'not slow'
check: lint suite

# Tests run outside the checkout, so that programs started with `python -m` come from the wheel.
# They start many: without compiled modules the import of TensorFlow takes each twice as long.
suite: export PYTHONDONTWRITEBYTECODE =
suite: $(VENV)/.test
	cd $$(mktemp -d) && $(BIN)/pytest -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) \
		-p no:cacheprovider -n 2 $(MARKED) $(CURDIR)/tests

clean:
	rm -rf build dist demo *.egg-info $(VENV)
