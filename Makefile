# make demo   a virtual environment, the package, and a contact sheet from the embedded weights
# make test   the whole fast suite          make test-slow   the opt-in tests as well
# make test-kernels   the tests that compute, under older processors' kernels and with one and two threads
# make docs   the documentation site, in build/docs; a warning is an error
# make rehearsal   both papers from raw data to their tables, on made-up data and tiny models
# make soak   an hour of killed commands, full disks, many calls and damaged files
# make lint   ruff and pyright              make clean       remove what make created
# The first that starts (a shim of pyenv may not) and is new enough.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt
SYSTEM := libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri chromium chromium-driver

.PHONY: demo test test-slow test-kernels docs rehearsal soak lint clean system
demo: $(VENV)/.core
	HF_HUB_OFFLINE=1 $(BIN)/mien demo -o demo

# Everything the tests and linters need, in one environment; the core install alone is enough for the demo.
# An environment is whole when it has pip: Debian leaves one without where python3-venv is not installed.
$(VENV)/.core: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || test -n "$(PYTHON)" || \
	  { echo "Python 3.11 or newer was not found: install it, or name it:  make demo PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) torch -e .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) -e '.[lint]'
	touch $@

# Software OpenGL for the tests that render and a browser; installed when we may, and the tests say so when they skip.
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  ! (ldconfig -p | grep -q libEGL.so.1 && command -v chromedriver >/dev/null); then \
	  apt-get update -q >/dev/null && apt-get install -y -q $(SYSTEM) >/dev/null || echo "could not install $(SYSTEM)"; fi

# Two processes of tests share the cores: their threads sleep at once.
test: $(VENV)/.test system
	HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.test system
	HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m 'not gpu and not net'

# Of this processor's kernels those of older ones too (PyTorch's and oneDNN's); BUSY=--busy keeps all cores busy beside it.
test-kernels: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.kernels $(BUSY) -n 2

# Plain files: open build/docs/index.html. Nothing on the pages is fetched from elsewhere.
docs: $(VENV)/.core
	$(PIP) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Types the commands of docs/recipe-*.md, kills processes on the way, and goes on where it was stopped; some 20 minutes.
# The figures are kept and go into the docs.
# It needs the face kit (MIEN_FACEKIT) and MediaPipe's landmarker (MIEN_ASSETS, or mien assets get).
rehearsal: $(VENV)/.test system
	$(BIN)/python -m tests.rehearsal build/rehearsal --result benchmarks/results/rehearsal.json
	$(BIN)/python benchmarks/docs_rehearsal.py

# An hour: commands killed and on a full disk, a hundred calls in one process, and damaged files of every kind, made from
# a seed that is another every day; the figures are kept and go into the docs.
soak: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.soak --minutes 60 --seed $$(date +%Y%m%d) --result benchmarks/results/soak.json
	$(BIN)/python benchmarks/docs_robustness.py

lint: $(VENV)/.lint
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache
