# Two commands: `make study` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
MINIMUM := $(shell sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
SEED ?= 1
OPS ?= 100000
BASE ?= main

# $(call lack,what,Debian package): ends the recipe in one line.
lack = { echo "dirtylog: $(1) is missing; on Debian and Ubuntu: apt install $(2)" >&2; exit 1; }

.PHONY: study bench gate history notebook test test-slow mutants conformance lint clean

study: .venv/ready
	@$(BIN)/dirtylog study

bench: .venv/ready
	$(BIN)/python -m benchmarks.study --full

# make ends with 2 whatever the gate says; its last line tells, and so does the command's own status.
gate: .venv/ready
	@$(BIN)/python -m benchmarks.gate --base $(BASE)

history: .venv/ready
	$(BIN)/python -m benchmarks.history

notebook: .venv/notebook
	$(BIN)/jupyter lab analysis/report/notebooks

# A file runs in one process: what its tests share is built and compiled once.
test: .venv/dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: .venv/dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

mutants: .venv/dev
	$(BIN)/python tests/mutants/runner.py $(MUTANTS)

conformance: .venv/dev
	$(BIN)/python tests/conformance/check.py --seed $(SEED) --ops $(OPS)
	$(BIN)/python tests/conformance/check.py --seed $(SEED) --ops $(OPS) --logging

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What the study needs, and no more.
.venv/ready: pyproject.toml constraints.txt
	@command -v git >/dev/null || $(call lack,git,git)
	@command -v $(PYTHON) >/dev/null || $(call lack,$(PYTHON),$(notdir $(PYTHON)) $(notdir $(PYTHON))-venv)
	@$(PYTHON) -c 'import sys; \
	old = sys.version_info < tuple(map(int, "$(MINIMUM)".split("."))); \
	sys.exit(old and "dirtylog: $(PYTHON) is older than $(MINIMUM); set PYTHON=python3.12, say")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	$(call lack,venv of $(PYTHON),$(notdir $(PYTHON))-venv)
	@echo "dirtylog: installing what the study needs into .venv, about a minute"
	@$(PYTHON) -m venv .venv
	@$(PIP) -e '.[study]'
	@touch $@

# What tests and linters need beside it.
.venv/dev: .venv/ready
	@echo "dirtylog: installing what the tests need into .venv"
	@$(PIP) -e '.[dev]'
	@touch $@

# JupyterLab, in which the texts open as notebooks.
.venv/notebook: .venv/ready
	@echo "dirtylog: installing JupyterLab into .venv"
	@$(PIP) -e '.[notebook]'
	@JUPYTER_CONFIG_DIR=.venv/etc/jupyter $(BIN)/jupytext-config set-default-viewer python
	@touch $@

clean:
	rm -rf .venv .asv .pytest_cache .ruff_cache .hypothesis results/local
