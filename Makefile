# Everything happens in .venv beside this file; constraints.txt holds the exact versions.
#   make demo    a market session on a real medium-voltage grid: tables on the screen, files in result/
#   make test    all tests
#   make check   rules, format and types
#   make bench   benchmarks against other tools (installs simbench, power-grid-model, lightsim2grid: about 500 MB)
#   make bench-areas  the P-Q areas beside TensorConvolution+, in an environment of its own (torch: several GB)
#   make study   the long tests that are marked "study"
#   make agreement   measure every published network against runpp: writes tests/agreement/networks.csv
#   make docs    bring docs/case-folder.md in step with the attribute tables
#   make clean   forget the environment and everything that was made

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINNED := --constraint constraints.txt

# One stamp per set of packages: a later call with nothing changed costs nothing.
RUN   := $(VENV)/.installed-run
DEV   := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
AREAS := .venv-areas/.installed

.PHONY: help demo test check bench bench-areas study agreement docs clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(RUN)
	@echo "(the first run compiles its kernels, which takes one to two minutes)"
	$(BIN)/gridclear demo -o result

test: $(DEV)
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbmake --durations 40 tests notebooks

# All three parts always, so that one round shows everything there is to mend.
check: $(DEV)
	@failed=0; \
	echo "rules";  $(BIN)/ruff check --output-format concise . || failed=1; \
	echo "format"; $(BIN)/ruff format --check . || failed=1; \
	echo "types";  $(BIN)/mypy || failed=1; \
	exit $$failed

bench: $(BENCH)
	$(BIN)/python -m benchmarks

bench-areas: $(BENCH) $(AREAS)
	$(BIN)/python -m benchmarks areas -o benchmarks/results

docs: $(DEV)
	$(BIN)/python docs/update.py

study: $(DEV) $(BENCH)
	$(BIN)/python -m pytest -m study tests

agreement: $(DEV) $(BENCH)
	PYTHONPATH=tests/unit $(BIN)/python tests/agreement/measure.py

clean:
	rm -rf $(VENV) .venv-areas build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis result
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems ship Python without ensurepip: their pip then fills the new environment instead.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "gridclear needs Python 3.11 or later, and '$(PYTHON)' is not one." >&2; \
	  echo "Name another: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12" >&2; exit 1; }
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "making $(VENV) with $$($(PYTHON) --version)"; \
	  $(PYTHON) -m venv $(VENV); \
	else \
	  echo "making $(VENV) with $$($(PYTHON) --version) and its own pip (ensurepip is missing)"; \
	  $(PYTHON) -m venv --without-pip $(VENV) \
	  && $(PYTHON) -m pip --quiet --python $(VENV) install pip \
	  || { rm -rf $(VENV); \
	       echo "No virtual environment: '$(PYTHON)' has neither ensurepip nor a pip of 22.3 or later." >&2; \
	       echo "On Debian and Ubuntu: apt install python3-venv. Then again." >&2; exit 1; }; \
	fi

# No build isolation: the build tool is pinned like everything else.
$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing gridclear and what it needs into $(VENV) (minutes the first time)"
	$(PIP) install $(PINNED) setuptools
	$(PIP) install $(PINNED) --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUN)
	@echo "installing the tools for tests and checks into $(VENV)"
	$(PIP) install $(PINNED) --no-build-isolation --editable '.[test,check]'
	@touch $@

$(BENCH): $(RUN)
	@echo "installing the peers of the benchmarks into $(VENV)"
	$(PIP) install $(PINNED) --no-build-isolation --editable '.[bench,data]'
	@touch $@

# Not pinned by constraints.txt, but for the peer itself: nothing of it is used by gridclear.
$(AREAS): $(RUN)
	@echo "installing TensorConvolution+ into .venv-areas (several GB)"
	$(BIN)/python -m venv .venv-areas
	.venv-areas/bin/python -m pip --disable-pip-version-check --quiet install TensorConvolutionPlus==0.1.1
	@touch $@
