# Everything from a fresh clone: `make test`, `make demo` and `make docs` set up what they need, once.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
# one thread a process: two test processes with two threads each are slower than with one
export OMP_NUM_THREADS ?= 1
# without stored byte code each test process, and each command that a test starts, compiles all sources again
unexport PYTHONDONTWRITEBYTECODE
# one more than the two cores that the suite is measured on: some tests wait for a signal or for a process to end
WORKERS ?= 3

.PHONY: setup test test-lowest test-engines check demo docs pictures format bench-gpu

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# the lowest versions that pyproject.toml allows, in an environment of their own; not in .ci/run, as it takes long
test-lowest:
	.ci/lowest

# every engine and precision for five nets at full width; not in .ci/run, as it takes long
test-engines: $(STAMP)
	$(BIN)/python -m pytest -m long tests/inference/engines

check: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

demo: $(STAMP)
	OMP_NUM_THREADS=2 $(BIN)/fullconv demo --out demo

# strict: a dead link, a missing page or a page that nothing leads to is an error; the notebook is executed
docs: $(STAMP)
	$(BIN)/python docs/make/notebook.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

pictures: $(STAMP)
	OMP_NUM_THREADS=2 $(BIN)/python docs/make/pictures.py

format: $(STAMP)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# on a machine with a CUDA card: every net and engine held to the CPU, then the tables of speed
bench-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu tests/gpu
	$(BIN)/python benchmarks/gpu.py --out gpu.md
