# Every target makes its own virtual environment on first use; nothing is installed outside .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-all test-cluster lint format bench clean

demo: $(READY)    ## the whole job on synthetic faces: features, every subject held out, a leaderboard
	$(BIN)/mer demo

test: $(READY)    ## the tests that take seconds each
	$(BIN)/pytest -n 2 -m "not slow and not fault and not cluster and not gpu and not browser"

test-all: $(READY)    ## every test this machine can run
	$(BIN)/pytest

test-cluster: $(READY)    ## several hosts made of namespaces, with ssh, Slurm and S3; as root, about half an hour
	sh tests/cluster/install.sh $(BIN)/python
	$(BIN)/pytest -m cluster

lint: $(READY)    ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)    ## speed, as ratios measured in the same run
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

# torch is in the constraints like all else: plain pip takes its CPU build where there is no GPU build to be had.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
