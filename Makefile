# The two commands are `make demo` and `make test`; each sets everything up by itself, once.
MM = .venv/bin/mm
PYTHON_IN_VENV = .venv/bin/python
# Without bytecode every process that starts would compile all its imports, for many seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test warm warm-backtest check test-system test-system-a-o test-system-p-z test-long test-kernels test-interpreted test-bounds peers-test compose-test compose-test-behind notebooks bench lock clean

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-18s %s\n", $$1, $$2}'

demo: ## the whole system on a synthetic market (DEMO="--duration 60 --json out.json" for options)
	@tools/set-up requirements.lock
	@$(MM) demo $(DEMO)

# CI gives AND, what else is to run beside, and YIELD, what the kernels' tests are started by.
test: ## style, types and the tests, the kernels compiled and as plain Python
	@tools/set-up requirements-dev.lock
	@$(MAKE) --no-print-directory -j 2 --output-sync=target check warm-backtest
	@$(MAKE) --no-print-directory -j 6 --output-sync=target test-system test-long test-kernels test-interpreted $(AND)

warm: ## compile what the services call, once for each version of the sources
	$(PYTHON_IN_VENV) -c 'from mm_cli.warm import ensure_warm; ensure_warm(print)'

# Several of the tests that run at once need it: each would compile it for itself. Most is in `warm`.
warm-backtest: warm
	$(PYTHON_IN_VENV) -c 'from mmquant import backtest; from mmquant.tape.synthetic import synthetic_tape; backtest.run(synthetic_tape(1.0))'

check: ## style and types
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy

SYSTEM = $(PYTHON_IN_VENV) -m pytest -m 'not kernels and not long and not compose and not peers'
test-system: test-system-a-o test-system-p-z ## services, commands and everything else around the kernels, running for real

# Much of them is waiting for a running system: two halves take little more than half the time.
test-system-a-o:
	$(SYSTEM) tests/test_[a-o]*.py

test-system-p-z:
	$(SYSTEM) tests/test_[p-z]*.py

# Services that wait a little longer for work leave the processors to the tests beside them.
test-long: ## minutes of the running system under faults, kills and closed gates
	MM_RUNTIME__IDLE__MAX_PARK_US=1000 $(PYTHON_IN_VENV) -m pytest -m long

# They yield to the running system beside them, which is tested with its times.
test-kernels: ## the kernels' tests compiled
	$(YIELD) nice -n 19 $(PYTHON_IN_VENV) -m pytest -m kernels

# Not those of files, commands and whole backtests: what they call is interpreted in tests of its own.
WHOLE = test_backtest_accounts test_backtest_bracket test_backtest_faults test_convert test_session_backtest test_sweep \
	test_tape_damage test_tape_formats test_tape_parts test_tape_recordings test_tape_rules
test-interpreted: ## the kernels' tests as plain Python, which checks bounds as well
	NUMBA_DISABLE_JIT=1 $(YIELD) nice -n 19 $(PYTHON_IN_VENV) -m pytest -m kernels $(WHOLE:%=--ignore=tests/%.py)

# Six minutes of compiling find what plain Python does not: an index below 0 that numpy takes from the end.
test-bounds: ## the kernels' tests compiled with array bounds checked (not part of `make test`)
	@tools/set-up requirements-dev.lock
	NUMBA_BOUNDSCHECK=1 MMQUANT_CACHE_DIR=$(CURDIR)/var/cache-boundscheck $(PYTHON_IN_VENV) -m pytest -m kernels

peers-test: ## clients that others wrote keep the offline venue's book (fetches them)
	@tools/set-up requirements-dev.lock
	$(PYTHON_IN_VENV) -m pytest -m peers

compose-test: ## the containers on a real engine: up, killed, paused, gone
	@tools/set-up requirements-dev.lock
	$(PYTHON_IN_VENV) -m pytest -m compose -s tests/test_compose_files.py tests/test_compose.py

# Mostly waiting, so that the kernels' tests need not have ended.
compose-test-behind: test-system test-long
	@$(MAKE) --no-print-directory compose-test

notebooks: ## executes the notebooks in place and keeps pictures of their figures (needs chromium)
	@tools/set-up requirements-dev.lock
	$(PYTHON_IN_VENV) tools/run-notebooks

bench: ## figures against peers, as ratios inside one run
	@tools/set-up requirements-dev.lock
	for name in imports book ewma parser resync tape quoting strategy simulator fill_truth backtest sweep transport replay; do \
		$(PYTHON_IN_VENV) -m benchmarks.$$name || exit 1; done

lock: ## renew the lock files (needs uv)
	uv pip compile --universal --python-version 3.12 --generate-hashes --no-header --extra live --extra build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.12 --generate-hashes --no-header --extra live --extra build --extra dev --extra notebooks --extra cluster pyproject.toml -o requirements-dev.lock

clean: ## remove what was built
	rm -rf .venv var dist .pytest_cache .mypy_cache .ruff_cache
