# Two commands: `make study` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: study bench test lint clean

study: .venv/ready
	$(BIN)/python -m benchmarks.study
	$(BIN)/dirtylog study --out results/local
	$(BIN)/python -m analysis.report --results results/local

bench: .venv/ready
	$(BIN)/python -m benchmarks.study --full

test: .venv/ready
	$(BIN)/pytest -n auto

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
