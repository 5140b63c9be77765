# Two commands: `make study` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 1
OPS ?= 100000

.PHONY: study bench history test conformance lint clean

study: .venv/ready
	$(BIN)/python -m benchmarks.study
	$(BIN)/dirtylog study --out results/local/replay
	$(BIN)/python -m analysis.report --results results/local

bench: .venv/ready
	$(BIN)/python -m benchmarks.study --full

history: .venv/ready
	$(BIN)/python -m benchmarks.history

test: .venv/ready
	$(BIN)/pytest -n auto

conformance: .venv/ready
	$(BIN)/python tests/conformance/check.py --seed $(SEED) --ops $(OPS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dirtylog needs Python 3.11 or later; set PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .asv .pytest_cache .ruff_cache .hypothesis results/local
