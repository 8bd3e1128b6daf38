# Every target makes .venv when it is absent. GNU make 3.81 (the one on macOS) is enough.
# Another Python: make install PYTHON=python3.12. More flags for the server: make serve ARGS="--slots 8".
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed
KERNELS := $(wildcard server/parfocal/engine/backends/native/*.cpp server/parfocal/engine/backends/native/*.h) server/compile_kernels.py

.PHONY: install demo serve check test test-kernels lint style types imports quick whole deploy-tools format protos clean
.DEFAULT_GOAL := install

install: $(STAMP)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Parfocal needs Python 3.11 or newer; none was found. Try: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "No venv module? On Debian and Ubuntu: apt install python3-venv"; exit 1; }

# torch first and alone: whatever asks for torch later finds this one and pulls no other build.
$(STAMP): pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt torch hatchling
	$(BIN)/python -m pip install -c constraints.txt --no-build-isolation -e '.[all,dev]'
	touch $(STAMP)

demo: install
	$(BIN)/parfocal demo $(ARGS)

serve: install
	$(BIN)/parfocal serve --base tiny $(ARGS)

# Three processes share the tests, one more than the least machine has cores, since some tests wait. One takes over
# what another has left, so that neighbours stay together and share what they start from. In one: make test ARGS="-n 0".
# Many tests start processes of ours: bytecode is kept, even where the environment says otherwise.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 3 --dist worksteal

# The fast lane, under a minute on two cores: all but the files of tests/slow.txt.
check: install
	@$(MAKE) --no-print-directory -j 2 types quick

lint: style types imports

style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

quick: style imports
	$(PYTEST) -n 2 --quick -q tests $(ARGS)

# Everything that CI runs.
test: install
	@$(MAKE) --no-print-directory -j 2 types whole

whole: style imports
	$(PYTEST) $(ARGS)

# The part of `make test` that is about the kernels for GPUs, in Triton's interpreter where there is none. It may take
# four minutes on two cores, and takes two and a half.
test-kernels: install
	$(PYTEST) -n 2 -q tests/engine/cuda $(ARGS)

# What deploy/check runs: linters, Helm and Debian's promtool. Without it, tests skip what they cannot check.
deploy-tools: install
	$(BIN)/python deploy/checks/get_tools.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: install
	$(BIN)/python protos/generate.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
