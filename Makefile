# Two commands do everything: `make run` and `make test`. Both set up what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-faults simulate faults fuzz lab-vm headset-proof headset-suite plug-cycles setup score phone speech clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

run: setup phone $(if $(HEADSET),lab-vm) ## set up and run the main job, end to end (ONCE=1 stops after it, HEADSET=1: a phone and a headset; 0 as expected, 1 not, 2 could not run)
	@$(BIN)/python -m deploy.demo $(if $(ONCE),--once) $(if $(HEADSET),--headset) || exit $$?

test: setup phone ## set up and pass the whole test suite
	$(BIN)/python -m tests.lanes $(PYTEST_ARGS)

check: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: setup phone score ## print one JSON line per figure: name, value, unit, target, baseline, ok
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

plug-cycles: setup lab-vm ## plug a virtual headset in and out N=200 times; prints the time to its registration: median, p99, longest
	@$(BIN)/python -m tests.benchmarks.plug_cycles --cycles $(or $(N),200)

headset-suite: setup lab-vm ## the headset suite in the virtual machine: a healthy headset, and ten defects that it finds
	@$(BIN)/pytest -q tests/headset/test_suite_in_the_machine.py

setup: $(READY) ## the virtual environment with pinned dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Assay needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || { echo "no virtual environment can be made: install python3-venv"; exit 2; }
	@echo "setting up the virtual environment (about a minute, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,agent,deploy,dev]'
	@touch $@

# libsvm is left out: it comes as source only, wants a C++ compiler, and serves music alone.
score: setup ## the perceptual estimate of speech (ViSQOL), 230 MB; without it estimates are refused in words
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt ai-edge-litert numpy scipy soundfile
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps visqol-python

phone: ## the third-party SIP phone program and the speech synthesiser (baresip-core and espeak-ng, Debian)
	@deploy/demo/install-phone.sh

speech: setup phone ## the speech that sound is measured with, made once into var/speech
	@$(BIN)/python -m agents.instruments.sound.speech var/speech

clean: ## remove what was set up and what was produced
	rm -rf $(VENV) var
