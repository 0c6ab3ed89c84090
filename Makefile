# Two commands are the whole set-up: make quickstart, make test.
PYTHON ?= python3
BIN := .venv/bin
# On two cores, each file on one of them: files share servers and runs among their tests. Long files come first.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-all lint docs clean

quickstart: .venv/.installed
	$(BIN)/metier run configs/quickstart.yaml

test: .venv/.docs
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-all: .venv/.docs
	$(BIN)/python -m pytest $(SPREAD)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Strict: a warning fails. The variable silences an advertisement of the theme's, which is no warning.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f docs/mkdocs.yml
	@echo build/site/index.html

clean:
	rm -rf .venv

# Installed anew only when what is installed changed.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("metier needs Python 3.11 or newer, not " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
