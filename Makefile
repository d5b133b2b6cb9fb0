# `make` alone lists every target. Needs Python 3.11, 3.12 or 3.13 and make; nothing else, no root, no Docker.
PYTHON_IN_VENV := .venv/bin/python
PYTEST := $(PYTHON_IN_VENV) -m pytest
UNIT := not integration and not browser and not slow

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-drift drill up stop status secrets test test-fast test-all lint bench lock lock-check licenses docs clean

help:  ## list every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv with the locked requirements (PYTHON=... names an interpreter)
	@PYTHON="$(PYTHON)" sh stack/setup.sh

setup-dev:  ## the same, with what tests and `make lint` need
	@PYTHON="$(PYTHON)" sh stack/setup.sh dev

demo: setup  ## the whole story on the loan model; SIGN=me leaves signing to you, in the browser
	@$(PYTHON_IN_VENV) -m stack demo $(if $(SIGN),--sign $(SIGN))

demo-drift: setup  ## three weeks of it in minutes: a quiet one, a data fault, a retraining, a rollback; SIGN=me as above
	@$(PYTHON_IN_VENV) -m stack demo-drift $(if $(SIGN),--sign $(SIGN))

drill: setup  ## try the way back on a shadow of what serves, and time it (MODEL=... for one model)
	@$(PYTHON_IN_VENV) -m stack drill $(MODEL)

up: setup  ## start PostgreSQL, MLflow, Airflow and the scoring service, and leave them running
	@$(PYTHON_IN_VENV) -m stack up

stop: setup  ## stop everything that make up or make demo started
	@$(PYTHON_IN_VENV) -m stack stop

status: setup  ## which service works, and where
	@$(PYTHON_IN_VENV) -m stack status

secrets: setup  ## make what is missing in the folder of secrets of docker-compose.yaml (FOLDER=..., ./secrets)
	@$(PYTHON_IN_VENV) -m stack.secrets_folder $(FOLDER)

test: setup-dev  ## all tests but the slow ones (23 minutes on 2 cores; the budget is 20)
	$(PYTEST) -q -n auto -m "$(UNIT)"
	$(PYTEST) -q -n 3 --dist loadfile -m "not slow" tests/integration
	$(PYTEST) -q -m "not slow" --durations=5 tests/e2e tests/browser

test-fast: setup-dev  ## the tests that train nothing and start no server (about a minute)
	$(PYTEST) -q -n auto -m "$(UNIT) and not training"

test-all: test  ## the slow tests, too, and ten times as many examples of every property
	$(PYTEST) -q -n auto --hypothesis-profile=thorough -m "hypothesis and not integration" tests/unit
	$(PYTEST) -q -m slow

lint: setup-dev  ## formatting, style, types, and which way imports run
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup-dev  ## measure the budgets and goals (half an hour; MODELS=100 watches a hundred models, not 20)
	@$(PYTHON_IN_VENV) -m stack.bench $(if $(MODELS),--models $(MODELS)) $(if $(WINDOWS),--windows $(WINDOWS))

UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(if $(UPGRADE),--upgrade)

lock: setup-dev  ## renew requirements*.txt from requirements*.in (UPGRADE=1: newest versions)
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@$(MAKE) --no-print-directory lock-check

lock-check: setup-dev  ## whether the lock installs on Python 3.11, 3.12 and 3.13
	@for version in 3.11 3.12 3.13; do \
		$(UV) pip install --quiet --dry-run --target .venv/lock-check --python-version $$version \
			--require-hashes -r requirements.txt -r requirements-dev.txt && echo "Python $$version: installs" || exit 1; \
	done

docs: setup  ## write docs/measures.md from the code
	@$(PYTHON_IN_VENV) -m stack.measures_page

licenses: setup  ## list the licences of what is installed; fails on a strong-copyleft one
	@$(PYTHON_IN_VENV) -m stack.licences

clean: stop  ## stop everything and delete its state and all caches (not .venv)
	rm -rf .state .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
