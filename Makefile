# Each target is all that is needed: it makes the virtual environment and installs what it uses.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
export TF_CPP_MIN_LOG_LEVEL ?= 2
export MPLBACKEND ?= Agg

.PHONY: demo test lint test-oldest benchmark clean

demo: $(VENV)/demo.stamp
	$(VENV)/bin/vis demo --output demo

test: lint
	$(VENV)/bin/python -m pytest

lint: $(VENV)/test.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test-oldest: $(OLDEST)/test.stamp
	$(OLDEST)/bin/python -m pytest

benchmark: $(VENV)/demo.stamp
	$(VENV)/bin/python benchmarks/activation_maximization.py

$(VENV)/%.stamp: pyproject.toml setup.py | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

$(OLDEST)/%.stamp: pyproject.toml setup.py oldest.txt | $(OLDEST)/bin/python
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint oldest.txt --editable ".[$*]"
	touch $@

$(VENV)/bin/python $(OLDEST)/bin/python:
	$(PYTHON) -m venv $(@D:/bin=)

clean:
	rm -rf $(VENV) $(OLDEST) demo build *.egg-info
