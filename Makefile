# The README's commands. Everything lives in .venv; nothing else on the machine is touched, except that `make test`
# installs missing servers with apt when it runs as root.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?=
ROOT   ?= demo-run
CHAOS  ?=
MINUTES ?= 30

.PHONY: help demo test test-slow fuzz soak lint bench dashboards clean

help:
	@echo "make demo [DATA=DIR] [ROOT=DIR] [CHAOS=1]   play a night through the whole chain on this host"
	@echo "make test                                   install what the tests need, lint, test"
	@echo "make test-slow                              the long campaigns (an hour)"
	@echo "make fuzz                                   the property tests, with examples that are drawn anew"
	@echo "make soak [MINUTES=30]                      both hosts in time-lapse, with faults; what grows (docs/soak.md)"
	@echo "make lint                                   ruff, mypy, import-linter"
	@echo "make bench                                  every benchmark, quick"
	@echo "make dashboards                             write the Grafana dashboards from their description"

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/nightferry demo $(DATA) --root $(ROOT) $(if $(CHAOS),--chaos)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev
	deploy/install/test-servers.sh
	$(MAKE) --no-print-directory lint
	$(BIN)/python -c 'from processors.warm_up import warm_up; warm_up()'  # kernels are compiled once, not by every test process
	$(BIN)/python -m pytest -m 'not slow' -n 3 --dist worksteal --durations 15

test-slow: $(VENV)/.dev
	deploy/install/test-servers.sh
	$(BIN)/python -m pytest -m slow --hypothesis-profile drawn

fuzz: $(VENV)/.dev
	deploy/install/test-servers.sh
	$(BIN)/python -m pytest -m 'hypothesis and not slow' --hypothesis-profile drawn -n 2

soak: $(VENV)/.dev
	deploy/install/test-servers.sh
	$(BIN)/python -m tests.soak soak-run --minutes $(MINUTES)

bench: $(VENV)/.dev
	for bench in bench/*.py; do $(BIN)/python $$bench --quick || exit 1; done

dashboards: $(VENV)/.dev
	$(BIN)/python -m deploy.grafana.build

clean:
	rm -rf $(VENV) demo-run soak-run build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
