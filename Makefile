# Everything sets itself up: the first target that needs it makes .venv, with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# One thread per process: the test and demo workers share the cores.
RUN := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: demo recipes test test-oldest lint format docs clean

demo: .venv/ready  ## compare strategies on digits; writes demo/
	$(RUN) $(BIN)/skal compare --out demo --overwrite

recipes: .venv/ready  ## nine papers on digits, against Random; writes recipes/
	$(RUN) $(BIN)/skal compare --recipe all --seeds 5 --out recipes --overwrite

test: .venv/ready  ## all tests, doctests included
	$(RUN) $(BIN)/python -m pytest -n auto -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/docs-ready  ## HTML in docs/_build/html; warnings are errors
	$(RUN) $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

test-oldest: .venv-oldest/ready  ## the tests on the oldest versions that pyproject.toml allows
	$(RUN) .venv-oldest/bin/python -m pytest -n auto -q

# $(call environment,FOLDER,CONSTRAINTS,EXTRAS): torch first, so that nothing else chooses its build.
define environment
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "skal needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install -q --disable-pip-version-check -c $(2) torch
	$(1)/bin/python -m pip install -q --disable-pip-version-check -c $(2) -e ".[$(3)]"
endef

.venv/ready: pyproject.toml constraints.txt
	$(call environment,.venv,constraints.txt,test$(,)lint)
	@touch $@

.venv/docs-ready: .venv/ready
	$(call environment,.venv,constraints.txt,test$(,)lint$(,)docs)
	@touch $@

.venv-oldest/ready: pyproject.toml constraints-oldest.txt
	$(call environment,.venv-oldest,constraints-oldest.txt,test)
	@touch $@

, := ,

clean:
	rm -rf .venv .venv-oldest demo recipes docs/_build docs/gallery docs/generated build *.egg-info
