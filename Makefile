# Everything is run from here, with bash and POSIX tools (Linux, macOS, Windows through WSL);
# `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export PATH := $(BIN):$(PATH)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
# Bytecode is written where it is first needed: to write all of it takes longer than to install.
unexport PYTHONDONTWRITEBYTECODE

# The build of torch that a new .venv gets; on a GPU host, the one for its driver:
#   make setup TORCH="torch==2.13.0 -i URL"
TORCH := torch==2.13.0
# What only torch's CUDA build needs: torch is installed on its own line, before the lock file.
CUDA_ONLY := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas \
	nvidia-cuda-cccl nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 \
	nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header

# A file in .venv says that a set-up ended, and by its name of which locks: another lock, or a
# set-up that was interrupted, is set up again, and pip leaves alone what is installed.
READY := $(VENV)/.ready-$(firstword $(shell cksum < requirements.lock))
READY_DEV := $(VENV)/.ready-dev-$(firstword $(shell cat requirements.lock requirements-dev.lock | cksum))

# One more than there are cores: many tests wait for DVC's queue, or for a process to end.
WORKERS = $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

.DEFAULT_GOAL := help
.PHONY: help setup repro table compare bench faults test test-all lint types check lock clean results docs/report.png

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned packages and the cardproof command

# What a killed set-up leaves is made good: a .venv without pip is made anew, a package that pip was
# killed in lacks its RECORD, and is forgotten, for it would pass for installed.
$(READY):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; run make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@rm -f $(VENV)/.ready*
	@test -x $(BIN)/pip || rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@find $(VENV)/lib* -type d -name '*.dist-info' ! -exec test -s {}/RECORD \; -prune -exec rm -r {} +
	$(PIP) $(TORCH)
	$(BIN)/python -m dev.install requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_DEV): $(READY)
	@rm -f $(VENV)/.ready-dev*
	$(BIN)/python -m dev.install requirements-dev.lock
	@touch $@

repro: $(READY) ## run the pipeline: what changed, and what depends on it
	@cardproof check --quiet
	dvc repro
	@echo "open report/index.html"

# DVC puts what was changed last, to the right of the figures: awk puts it first.
table: $(READY) ## list the runs: what was changed, and what came of it
	@set -o pipefail; dvc exp show --no-pager --md --only-changed --keep '(accuracy|verdict|loss)$$' \
		--drop 'Created|State|Executor|[a-z]+_|.*/|.*lock$$|params.yaml|(cards|model|claimed|f1|precision|recall|steps)$$' \
		| awk -F'|' 'NF { row = "|" $$2; for (i = 6; i < NF; i++) row = row "|" $$i; \
			print row "|" $$3 "|" $$4 "|" $$5 "|" }'

compare: $(READY) ## put runs side by side: make compare REVS="main my-experiment"
	cardproof compare $(REVS)

bench: $(READY) ## measure speed, memory and growth: half an hour, the machine to itself
	python -m dev.benchmarks

faults: $(READY) ## kill, fill and damage the pipeline for real: half an hour
	python -m dev.faults

PYTEST := OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
test: $(READY_DEV) ## run all but the slowest tests
	$(PYTEST) -m "not slow"

test-all: $(READY_DEV) ## run all tests
	$(PYTEST)

lint: $(READY_DEV) ## check format and style
	ruff format --check .
	ruff check .

types: $(READY_DEV) ## check types
	mypy

check: lint types test-all ## lint, types and all tests

lock: ## resolve pyproject.toml into the two lock files (needs uv)
	echo '$(firstword $(TORCH))' | $(COMPILE) pyproject.toml --extra run --extra s3 --constraints - \
		$(CUDA_ONLY:%=--no-emit-package %) --output-file requirements.lock
	$(COMPILE) --group dev --constraints requirements.lock \
		$$(sed -n 's/^\([a-z0-9.-]*\)==[^;]*$$/--no-emit-package \1/p' requirements.lock) \
		--output-file requirements-dev.lock

results: $(READY) ## rebuild the pages of results from the committed records
	python -m dev.study

docs/report.png: $(READY) # photograph the sample's report for README.md (needs Chromium)
	python -m dev.screenshot

clean: ## delete the last run's data, model and report; `dvc checkout` restores them from the cache
	rm -rf report upload model data/reviews data/base data/split data/tokens data/predictions
