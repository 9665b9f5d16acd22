# `make demo` and `make test` make a virtual environment first; CONTRIBUTING.md explains the others.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RASTERIZER := submodules/diff-gaussian-rasterization-orth
CONSTRAINTS := constraints.txt
METADATA := pyproject.toml $(RASTERIZER)/pyproject.toml $(CONSTRAINTS)
DEMO_OUTPUT ?= outputs/demo
# One worker a core, each with one thread: threads of several workers would wait for each other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest
WORKERS ?= -n auto --maxprocesses 8 --dist loadgroup

.PHONY: demo test test-fast test-gpu test-newest test-lowest lint format docs viewer install \
	install-dev constraints clean

demo: install
	$(BIN)/python splat_inference.py \
		--input_frames_path core/assets/demo_clip/clip.mp4 \
		--input_depths_path core/assets/demo_clip/depth \
		--output_dir $(DEMO_OUTPUT)
	@echo "open $(DEMO_OUTPUT)/index.html"

test: lint
	$(PYTEST) $(WORKERS)

test-fast: install-dev
	$(PYTEST) $(WORKERS) -m "not slow and not gpu" --ignore tests/benchmarks --ignore tests/tools \
		--ignore $(RASTERIZER)/tests/test_cuda_compile.py

test-gpu: install-dev
	$(BIN)/python -m pytest -m gpu

# The ends of what pyproject.toml allows, each in an environment of its own.
test-newest: RESOLUTION := highest
test-lowest: RESOLUTION := lowest-direct
test-newest test-lowest: VENV := $(VENV)-ends
test-newest test-lowest:
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet --resolution $(RESOLUTION) \
		-e $(RASTERIZER) -e ".[dev]"
	$(PYTEST) $(WORKERS)

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install-dev
	$(BIN)/python -W "ignore:Error parsing type annotation" -W "ignore:Found" -m pdoc \
		--docformat google --output-directory outputs/api core core.io.frames core.io.video \
		diff_gaussian_rasterization_orth '!core\..*__main__'
	@echo "open outputs/api/index.html"

# Needs node; what it builds is checked in.
viewer:
	cd viewer && npm ci && npm run check && npm run build

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

# What a program imports, its first start compiles, in seconds; pip would compile all of PyTorch.
INSTALL = $(BIN)/python -m pip install --quiet --no-compile -c $(CONSTRAINTS) -e $(RASTERIZER)

$(VENV)/.installed: $(METADATA)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e ".[dev]"
	@touch $@

# One set of versions for all supported Pythons; UPGRADE=--upgrade takes the newest.
constraints:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	printf '%s\n' ./$(RASTERIZER) '.[dev]' | $(BIN)/uv pip compile - \
		--no-config --quiet --universal --python-version 3.10 --no-python-downloads $(UPGRADE) \
		--no-emit-index-url --no-header --no-annotate --no-emit-package streamsplat \
		--no-emit-package diff-gaussian-rasterization-orth --output-file $(CONSTRAINTS)

clean:
	rm -rf $(VENV) $(VENV)-ends outputs .pytest_cache .ruff_cache
