# One word each; every one works in a fresh clone with Python >= 3.11, make and git.
PYTHON ?= $(shell for one in python3.11 python3.12 python3.13 python3; do \
  command -v $$one && break; done)
VENV := .venv
BIN := $(VENV)/bin

# Compiled modules are kept, whatever the caller's shell says: every command starts quicker.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check fix interop bench chaos fuzz docs pyz packages kerberos lock clean

demo: $(VENV)/.demo  ## the main job on this machine: OpenBao, an issuer, the broker, a job
	$(BIN)/credbroker demo --report demo-report.json

test: $(VENV)/.dev  ## every test but the interop ones
	$(BIN)/pytest -m "not interop" -n 2 --dist loadfile

check: $(VENV)/.dev  ## format, lint, types, import contracts, budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house

fix: $(VENV)/.dev  ## let the formatter and the linter mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

interop: $(VENV)/.dev  ## against third-party software (needs Node.js)
	$(BIN)/pytest -m interop -n 2 --dist loadfile

bench: $(VENV)/.dev  ## every figure against a peer or limit, into docs/performance.md (QUICK=1: about 12 min)
	$(BIN)/python -m bench $(if $(QUICK),--quick)
	$(BIN)/python -m bench --write-docs

# How many faults `make chaos` waits to see, and what decides which come when.
COUNT ?= 200
SEED ?= 1

chaos: $(VENV)/.dev  ## faults by the hundred against several brokers (COUNT=1000: within the hour)
	$(BIN)/python -m tests.chaos.files --seed $(SEED)
	$(BIN)/python -m tests.chaos --count $(COUNT) --seed $(SEED)

fuzz: COUNT = 20000
fuzz: $(VENV)/.dev  ## odd requests to every path in an HTVault's place (COUNT: how many to each target)
	$(BIN)/python -m tests.fuzz --count $(COUNT) --seed $(SEED)

docs: $(VENV)/.dev  ## pages for a browser into dist/docs, man pages into dist/man; the reference anew from the code
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.generate_commands
	$(BIN)/python -m docs.generate_commands --man dist/man
	$(BIN)/sphinx-build -q -E -a -W --keep-going -n -c docs -d dist/doctrees . dist/docs

pyz: $(VENV)/.dev  ## build dist/credbroker.pyz, the part that runs without pip
	$(BIN)/python -m credbroker.zipapp dist/credbroker.pyz

packages: $(VENV)/.dev  ## build dist/*.deb and dist/*.rpm (needs dpkg-deb and rpmbuild)
	$(BIN)/python -m docs.generate_commands --man dist/man
	$(BIN)/python -m docs.generate_commands --man dist/man
	$(BIN)/python systemd/packages/build.py dist

kerberos: $(VENV)/.kerberos  ## what Kerberos logins need (gcc and libkrb5-dev must be there)

lock: $(VENV)/.dev  ## renew requirements/*.txt from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/python requirements/lock.py

# An environment that was left half made, or made by another Python, is cleared away first.
$(VENV)/.made:
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'credbroker needs Python 3.11 or later; name it: make PYTHON=/path/to/python3.11' >&2; \
	    exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The same parts in every clone: each file is checked against a recorded hash.
$(VENV)/.demo: $(VENV)/.made requirements/demo.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/demo.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.demo requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.kerberos: $(VENV)/.dev requirements/kerberos.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/kerberos.txt
	@touch $@

clean:
	rm -rf $(VENV) dist demo-report.json chaos-report.json fuzz-findings
