# `make demo` and `make test` set up everything they need on a machine with Python 3.11 or later, make and root.
SHELL := bash
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
CLIENTS := tests/proxy/clients
NODE_CLIENTS := $(CLIENTS)/node_modules/installed
# Two for each core: the tests start real servers and wait for them half of the time.
JOBS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) * 2 )))
DURATION ?=
# Containers often say so; the tests start a hundred Python processes, each of which would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

BENCH := $(if $(CASES),--cases "$(CASES)") $(if $(TARGETS),--targets "$(TARGETS)") $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(JSON),--json $(JSON))

.PHONY: help demo test bench simulate explore rivals crash-matrix fuzz faults load lint format check coverage docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed ## Run the main job against a sandbox until Ctrl-C (DURATION=45: for that many seconds)
	@deploy/ensure-redis
	@$(BIN)/python -m deploy.demo $(if $(DURATION),--duration $(DURATION))

test: .venv/installed $(NODE_CLIENTS) ## Run every test
	@deploy/ensure-redis
	@$(BIN)/pytest -n $(JOBS) --dist loadfile -q

bench: .venv/installed ## Measure beside HAProxy and stunnel (CASES="c50-* connect" TARGETS="…" ROUNDS=3 JSON=FILE)
	@deploy/ensure-redis && deploy/ensure-peers
	@PATH=$$PATH:/usr/sbin $(BIN)/python -m tests.benchmarks $(BENCH)

simulate: .venv/installed ## Simulate rotators (SCHEDULES=20000 SEED=0; STORY=1 tells what happened in one)
	@$(BIN)/python -m tests.simulation --schedules $(or $(SCHEDULES),20000) --seed $(or $(SEED),0) $(if $(STORY),--story)

explore: .venv/installed ## Visit every state of two rotators that crash and stand still (BOUNDS="--crashes 0" for less)
	@$(BIN)/python -m tests.simulation.explorer $(BOUNDS)

rivals: .venv/installed ## Run three services on one account over twenty due rotations (six minutes)
	@deploy/ensure-redis
	@$(BIN)/python -m tests.rivals

crash-matrix: .venv/installed ## Kill the service at every AWS call of a rotation and an adoption (ten minutes)
	@deploy/ensure-redis
	@$(BIN)/python -m tests.crash_matrix

fuzz: .venv/installed ## Fuzz framing and logins beside Redis (SECONDS=60 SEED=0; CASE=7 runs one stream again)
	@deploy/ensure-redis
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) --seed $(or $(SEED),0) $(if $(CASE),--case $(CASE))

faults: .venv/installed ## Break the wires before and behind the proxy at every byte (four minutes)
	@deploy/ensure-redis
	@$(BIN)/python -m tests.faults

load: .venv/installed ## Measure what thousands of silent clients, slow ones and slow databases cost (a minute)
	@deploy/ensure-redis
	@$(BIN)/python -m tests.load

lint: .venv/installed ## Check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed ## Format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test ## What has to pass before anything lands

coverage: .venv/installed $(NODE_CLIENTS) ## Run every test and show what they did not reach
	@deploy/ensure-redis
	@$(BIN)/pytest -n $(JOBS) --dist loadfile -q --cov --cov-report=term

docs: .venv/installed ## Write the parts of the README that are the code's
	@$(BIN)/python -m deploy.reference

clean: ## Remove what the targets above made
	rm -rf .venv $(CLIENTS)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

.venv/installed: pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "valkeeper: Python 3.11 or later is needed; install it, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { echo "valkeeper: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing Valkeeper and what it needs into .venv (once, about a minute) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(NODE_CLIENTS): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@deploy/ensure-node
	@echo "Installing the Node.js clients that the tests connect with (once, a few seconds) …"
	@npm ci --prefix $(CLIENTS) --loglevel=error >/dev/null
	@touch $@
