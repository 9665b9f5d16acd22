# Two commands: `make demo` and `make test`. Each makes its own virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RASTERIZER := submodules/diff-gaussian-rasterization-orth
METADATA := pyproject.toml $(RASTERIZER)/pyproject.toml
DEMO_OUTPUT ?= outputs/demo

.PHONY: demo test install install-dev clean

demo: install
	$(BIN)/python splat_inference.py \
		--input_frames_path core/assets/demo_clip/clip.mp4 \
		--input_depths_path core/assets/demo_clip/depth \
		--output_dir $(DEMO_OUTPUT)
	@echo "open $(DEMO_OUTPUT)/index.html"

test: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: $(METADATA)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e $(RASTERIZER) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e $(RASTERIZER) -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) outputs .pytest_cache .ruff_cache
