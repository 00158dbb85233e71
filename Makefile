# Two commands do everything: `make run` and `make test`. Both set up what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# PYTEST_ARGS may choose tests of one kind only; without it both kinds are there.
NONE_CHOSEN = [ $$? -eq 5 -a -n "$(PYTEST_ARGS)" ]
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-faults simulate faults fuzz lab-vm headset-proof headset-suite setup phone clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

run: setup phone ## set up and run the main job, end to end (ONCE=1 stops after it; 0 as expected, 1 not, 2 could not run)
	@$(BIN)/python -m deploy.demo $(if $(ONCE),--once) || exit $$?

test: setup phone ## set up and pass the whole test suite
	$(BIN)/pytest -m "not alone" -n 2 --dist worksteal $(PYTEST_ARGS) || $(NONE_CHOSEN)
	$(BIN)/pytest -m alone $(PYTEST_ARGS) || $(NONE_CHOSEN)

check: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: setup phone ## print one JSON line per figure: name, value, unit, target, baseline, ok
	$(BIN)/python -m tests.benchmarks

bench-faults: setup phone ## faults of the bench in real runs: N=3 runs for each, QUIET=5 without; prints fault, injected, device fails
	$(BIN)/python -m tests.bench_faults --runs $(or $(N),3) --quiet $(or $(QUIET),5) $(if $(SEED),--seed $(SEED))

simulate: setup ## the core in a simulated world with faults: SEEDS=50 STEPS=500, or one failing SEED again
	$(BIN)/python -m tests.simulation --steps $(or $(STEPS),500) $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),50))

faults: setup ## real processes under real faults: N=200 kills and others between them, SEED=7 again; or OUTAGE_S=600
	$(BIN)/python -m tests.faults $(if $(OUTAGE_S),--outage-s $(OUTAGE_S),--kills $(or $(N),200) $(if $(SEED),--seed $(SEED)))

fuzz: setup ## the parsers of the instruments under random input: N=10000 examples for each property
	FUZZ_EXAMPLES=$(or $(N),10000) $(BIN)/pytest -q tests/agents/instruments/test_fuzz*.py

lab-vm: ## the virtual machine that takes the virtual headset for a real one, from Debian's packages; kept in var/lab-vm
	@agents/simulated/headset/machine/build.sh var/lab-vm

headset-proof: setup lab-vm ## that Linux takes the virtual headset for a real one: card, loop exact to the bit, key, lamps
	@$(BIN)/python -m agents.simulated.headset.machine.proof var/lab-vm

headset-suite: setup lab-vm ## the headset suite in the virtual machine: a healthy headset, and ten defects that it finds
	@$(BIN)/pytest -q tests/headset/suite_in_the_machine.py

setup: $(READY) ## the virtual environment with pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Assay needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { echo "no virtual environment can be made: install python3-venv"; exit 2; }
	@echo "setting up the virtual environment (about a minute, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,agent,deploy,dev]'
	@touch $@

phone: ## the third-party SIP phone program (baresip-core, Debian)
	@deploy/demo/install-phone.sh

clean: ## remove what was set up and what was produced
	rm -rf $(VENV) var
