# Havre. `make help` lists the targets. Each one installs what it needs on a clean Debian 12 or 13, or Ubuntu 24.04.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
SPREAD := -n auto --dist worksteal
BESIDE := -n 2 --dist loadgroup --no-loadscope-reorder
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
SYSTEM := docker.io haproxy iproute2 nftables libnftables1 busybox-static skopeo curl libseccomp2 e2fsprogs mmdebstrap crun conmon

RUNTIMES := python3.11 python3.13 nodejs22.x java21 ruby3.3

.PHONY: help install system runtimes demo test lint fmt types imports unit wire contracts simulation acceptance bench peers lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/.installed ## the program and its tools into .venv (bin/havre)

.venv/.installed: pyproject.toml requirements/dev.txt requirements/build.txt
	@scripts/ensure-python "$(PYTHON)"
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

system: ## the Debian packages that containers, networks and load balancers need
	@scripts/ensure-packages $(SYSTEM)
	@cp -u /bin/busybox examples/hello/busybox

runtimes: install system ## those of Lambda's runtimes that tests need, each built once, side by side
	@printf '%s\n' $(RUNTIMES) | $(SUDO) xargs -P 5 -I NAME $(BIN)/havre lambda build-runtime NAME

demo: install system ## the main job, with the AWS CLI and docker, on real containers
	$(SUDO) $(BIN)/havre demo

test: lint types imports unit wire contracts simulation acceptance ## everything that CI runs

lint: install ## ruff: errors, style, banned calls, formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

fmt: install ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: install ## mypy, strict
	$(BIN)/mypy

imports: install ## the rule of imports
	$(BIN)/lint-imports

unit: install ## decisions and parts, no Docker, virtual clock
	$(BIN)/pytest $(SPREAD) tests/unit

wire: install ## every operation against botocore, and AWS's protocol cases
	$(BIN)/pytest $(SPREAD) tests/wire

contracts: install system runtimes ## one suite a port, on the fake and on the real thing
	@scripts/with-docker $(BIN)/pytest $(BESIDE) tests/contracts

simulation: install ## the whole control plane on fakes, with faults and crashes
	PYTHONHASHSEED=0 $(BIN)/pytest $(SPREAD) tests/simulation

acceptance: install system runtimes ## the program as users run it, real containers
	@scripts/with-docker $(BIN)/pytest $(BESIDE) tests/acceptance

bench: install system runtimes peers ## measure every promise of docs/SPECIFICATION.md
	@scripts/with-docker $(BIN)/python -m benchmarks

peers: .venv-peers/.installed ## what the benchmarks compare with, into .venv-peers

.venv-peers/.installed: requirements/peers.txt requirements/build.txt
	@scripts/ensure-python "$(PYTHON)" .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --require-hashes -r requirements/peers.txt
	@scripts/ensure-packages etcd-server docker-registry skopeo wrk
	@touch $@

lock: install ## write the lock files anew
	for set in dev:"--extra dev pyproject.toml" run:"pyproject.toml" peers:requirements/peers.in build:requirements/build.in; do \
	  $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 $${set#*:} -o requirements/$${set%%:*}.txt; done

clean: ## remove the environments and caches
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache src/havre.egg-info build dist
