# The commands of development; each sets up what it needs by itself.
# `make test PYTEST_ARGS=tests/core` runs a part; `PYTHON=python3.12 make` chooses one.
.PHONY: demo test core-test lint docs bench
.DEFAULT_GOAL := test

VENV := .venv
CORE := .venv-core
FEW := not knn and not pca and not autopaint and not fader
ENDS := $(patsubst %,tests/core/test_%.py,imports cli recipe store anomaly_outputs)
READY := $(VENV)/.ready
CORE_READY := $(CORE)/.ready
LINT_READY := $(VENV)/.lint-ready

# Real windows need a screen: without one, a virtual one is put up.
ifeq ($(shell uname)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
SCREEN := xvfb-run -a -s "-screen 0 1600x1200x24"
DEMO_OUTPUT := demo-output
endif

demo: $(READY)
	$(SCREEN) $(VENV)/bin/napari-disentangle demo $(DEMO_OUTPUT)

# A file of tests stays together, and so do all windows (tests/conftest.py); the windows,
# which take longest, begin.
SPREAD := -n 2 --no-loadscope-reorder

# Networks in tests are small: more threads only wait, long where a machine is busy.
test core-test docs: export OMP_NUM_THREADS := 1

test: $(READY)
	$(SCREEN) $(VENV)/bin/python -m pytest $(SPREAD) $(PYTEST_ARGS)

# The core must work where there is neither Qt nor napari: what a script or the command
# line does from end to end. What lies within is left to the whole suite.
# One detector that learns and one that does not: `make test` has all of them.
core-test: $(CORE_READY)
	@! $(CORE)/bin/python -c "import napari" 2>/dev/null
	$(CORE)/bin/python -m pytest $(SPREAD) $(ENDS) -k "$(FEW)" $(PYTEST_ARGS)

lint: $(LINT_READY)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/house.py

# Every example in a docstring must do what it shows.
docs: $(READY)
	$(VENV)/bin/python -m pytest -q --doctest-modules src/napari_disentangle

bench: $(READY)
	$(VENV)/bin/python benchmarks/swap.py

$(READY): pyproject.toml scripts/setup.sh
	scripts/setup.sh $(VENV) test
	touch $@

$(CORE_READY): pyproject.toml scripts/setup.sh
	scripts/setup.sh $(CORE) core-test
	touch $@

$(LINT_READY): $(READY)
	$(VENV)/bin/python -m pip install -qq --group lint
	touch $@
