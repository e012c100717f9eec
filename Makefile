# Every target makes its own virtual environment on first use; nothing is installed outside .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-pages test-faults test-all test-cluster lint site format bench gpu clean

demo: $(READY)    ## the whole job on synthetic faces: features, every subject held out, a leaderboard
	$(BIN)/mer demo

test: $(READY)    ## the tests that take seconds each
	$(BIN)/pytest -n 2 -m "not slow and not fault and not cluster and not gpu and not browser and not pages"

test-pages: $(READY)    ## every command and the notebook of the pages
	$(BIN)/pytest -m pages

FAULTS = tests/orchestrator/test_sizes.py tests/orchestrator/test_kill.py tests/orchestrator/precompute
test-faults: $(READY)    ## kills, a full disk, damaged and oversized files: some of each kind, in five minutes
	$(BIN)/pytest -n 2 -m "fault and not slow" $(FAULTS)

test-all: $(READY)    ## every test this machine can run
	$(BIN)/pytest

test-cluster: $(READY)    ## several hosts made of namespaces, with ssh, Slurm and S3; as root, about half an hour
	sh tests/cluster/install.sh $(BIN)/python
	$(BIN)/pytest -m cluster

lint: $(READY)    ## ruff, mypy, and every link of the site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zensical build --config-file mkdocs.yml --clean --strict

site: $(READY)    ## docs/ as a site, in site/
	$(BIN)/zensical build --config-file mkdocs.yml --clean

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)    ## speed, as ratios measured in the same run
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

# PyTorch comes as several builds. uv, where it is installed, takes the one that fits: that for processors where no GPU
# answers. pip takes what its package index has: on macOS that is right; on Linux it brings the libraries of a GPU too,
# unless TORCH_INDEX names the place of the builds for processors (docs/first-run.md).
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
INSTALL = $(BIN)/python -m pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
else
INSTALL = $(UV) pip install --python $(BIN)/python --torch-backend=auto
endif

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Fetching about 0.8 GB, once, which takes 2.6 GB on the disk (a PyTorch for GPUs: 3 GB more)."
	$(INSTALL) --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

gpu: $(READY)    ## what this machine's GPU makes of many folds: tests, and gpu-report.html to send; eight minutes
	$(BIN)/python tests/benchmarks/gpu_report.py

clean:
	rm -rf .venv site .cache .mypy_cache .pytest_cache .ruff_cache
