# Everything is run from here; `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export PATH := $(BIN):$(PATH)
READY := $(VENV)/.ready

# What only torch's CUDA build needs: torch is installed on its own line, before the lock file.
CUDA_ONLY := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas \
	nvidia-cuda-cccl nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 \
	nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
TORCH := torch==2.13.0
# One more than there are cores: many tests wait for DVC's queue, or for a process to end.
WORKERS := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

.DEFAULT_GOAL := help
.PHONY: help setup repro compare bench faults test lint types check lock clean results

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned packages

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; run make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

repro: $(READY) ## run the pipeline: what changed, and what depends on it
	dvc repro
	@echo "open report/index.html"

compare: $(READY) ## put runs side by side: make compare REVS="main my-experiment"
	cardproof compare $(REVS)

bench: $(READY) ## measure speed, memory and growth: half an hour, the machine to itself
	python -m dev.benchmarks --million

faults: $(READY) ## kill, fill and damage the pipeline for real: half an hour
	python -m dev.faults --kills 30 --seed 0

test: $(READY) ## run the whole test suite
	OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

lint: $(READY) ## check format and style
	ruff format --check .
	ruff check .

types: $(READY) ## check types
	mypy

check: lint types test ## lint, types and tests

lock: ## resolve pyproject.toml into requirements.lock (needs uv)
	echo '$(TORCH)' | uv pip compile --quiet pyproject.toml --group dev --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header \
		--constraints - $(CUDA_ONLY:%=--no-emit-package %) --output-file requirements.lock

results: $(READY) ## rebuild the pages of results from the committed records
	python -m dev.study

clean: ## remove what a run left behind, not its records in Git or DVC's cache
	rm -rf report upload model data/reviews data/base data/split data/tokens data/predictions data/checked.txt
