# make eval | make test | make fast | make check | make format: each sets up .venv on its own.
PYTHON ?= python3.11
BIN := .venv/bin
# Without a GPU: PyTorch without the CUDA packages.  With one: the full builds of both frameworks.
GPU := $(shell command -v nvidia-smi 2>/dev/null)
CPU_INDEX := --extra-index-url https://download.pytorch.org/whl/cpu --retries 1
EVAL ?=
# Two processes share the test files; each needs up to 5 GB.  -n 0 runs all in one.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile

.PHONY: eval test fast parity check format

eval: .venv/ready
	$(BIN)/python eval/run.py --framework torch $(EVAL)

test: check
	$(PYTEST) --durations=15

fast: .venv/ready
	$(PYTEST) -m "not slow and not parity"

parity: .venv/ready
	$(PYTEST) -m parity

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
ifeq ($(GPU),)
	$(BIN)/python -m pip install -q $(CPU_INDEX) -r requirements.txt -r requirements-dev.txt
else
	sed 's/^tensorflow-cpu/tensorflow/' requirements.txt > .venv/requirements.txt
	$(BIN)/python -m pip install -q -r .venv/requirements.txt -r requirements-dev.txt
endif
	touch $@
