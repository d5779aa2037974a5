# `make demo`: from nothing to a table of results and a page of them.  `make test`: the tests.
# `make lint`: linters and types.  CI runs both, and `make bench-small`.
# `make test-spark`: the same numbers on Spark, which needs Java 17 or newer.
# `make bench`: what pulls, funnels and builds cost beside their baselines, written into
# benchmarks/README.md, and as JSON into target/.  `make bench-small`: whether the benchmarks run.
# `make bench-suite`: how long `make test` takes on a fresh clone, beside what says how fast the machine is.
# `make bench-spark`: what landing and building cost on DuckDB and on Spark.
# `make simulation`: how often it finds an effect where there is none, and where there is one, in two
# minutes, written into docs/statistics.md.

# The first Python that is new enough; `make PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what it imports when it imports it: a third of the time of installing is not spent on the rest.
# The newest pip finds the packages in half of the time of the one that comes with Python 3.11.
# Setuptools is there: pip does not install it anew for each package that comes as sources.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
LOCKED := --no-build-isolation --constraint constraints.txt
INSTALL := $(PIP) install --no-compile $(LOCKED)
WORKERS := 2
# Processes of sqlfluff; 0 is one for each processor, which is sooner, and takes a third more of them.
LINTERS := 0
# It makes so many objects that looking for garbage among them takes a third of its time, at Python's own setting.
SQLFLUFF := $(BIN)/python -c 'import gc; from sqlfluff.cli.commands import cli; gc.set_threshold(200_000); cli()'
SQL := models analyses tests/dialects tests/quality tests/spec
MAY_GET := { test "$$(id -u)" = 0 && command -v apt-get >/dev/null; }
GET := apt-get install --yes --no-install-recommends
# Another malloc, where it is installed. It gives no memory back: the tests' processes end soon.
JEMALLOC := /sbin/ldconfig -p 2>/dev/null | grep --only-matching --max-count=1 '/.*/libjemalloc[.]so[.]2$$'
JEMALLOC_SETTINGS := narenas:2,dirty_decay_ms:-1,muzzy_decay_ms:-1
# Where it is forbidden to write what was compiled, each of the tests' processes would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-spark browser allocator bench bench-small bench-suite bench-spark simulation lint lint-python lint-sql format docs screenshot clean

demo: $(VENV)/installed profiles.yml
	@$(BIN)/loader demo demo-export
	@$(BIN)/loader pull --source demo-export --warehouse demo.duckdb
	@echo "dbt build: models and their tests …"
	@OPTIMIZELY_E3_WAREHOUSE=demo.duckdb $(BIN)/dbt --quiet build --full-refresh
	@$(BIN)/report show --warehouse demo.duckdb --metric 'purchase rate' --metric 'revenue per visitor'
	@$(BIN)/report build --warehouse demo.duckdb --out demo-site
	@echo "Your own data:  . $(BIN)/activate && loader pull --source s3://… --since 30d && dbt build && report build"

# What takes one processor goes side by side.
test:
	@$(MAKE) --no-print-directory --jobs=3 allocator $(VENV)/installed-spark
	@LD_PRELOAD="$$($(JEMALLOC))" MALLOC_CONF=$(JEMALLOC_SETTINGS) \
		$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

test-spark: $(VENV)/installed-spark
	@$(BIN)/python -m pytest tests/spark $(PYTEST)

# The tests of the pages are skipped without one. The shell has the same engine, and takes three fifths of the time.
browser:
	@for name in chromium-headless-shell chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && exit; done; \
	$(MAY_GET) && echo "installing a browser …" && \
		{ apt-get update && { $(GET) chromium-headless-shell || $(GET) chromium; }; } >/dev/null 2>&1 || \
		echo "no browser was found, and none can be installed: the tests of the pages are skipped"

# Each small query of DuckDB asks for thousands of pieces of memory. Without this the tests just take longer.
allocator: browser
	@test -n "$$($(JEMALLOC))" || ! $(MAY_GET) || \
		{ $(GET) libjemalloc2 || { apt-get update && $(GET) libjemalloc2; } || true; } >/dev/null 2>&1

bench: $(VENV)/installed-dev
	@$(BIN)/python -m benchmarks.landing --write --json target/landing.json
	@$(BIN)/python -m benchmarks.funnels --write --json target/funnels.json
	@$(BIN)/python -m benchmarks.building --write --json target/building.json

bench-small: $(VENV)/installed-dev
	@$(BIN)/python -m pytest benchmarks $(PYTEST)

bench-suite: $(VENV)/installed-dev
	@$(BIN)/python -m benchmarks.suite --write --json target/suite.json

bench-spark: $(VENV)/installed-spark
	@$(BIN)/python -m benchmarks.spark --write --json target/spark.json

simulation: $(VENV)/installed-dev
	@$(BIN)/python -m benchmarks.simulation --write

lint: lint-python lint-sql

lint-python: $(VENV)/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

lint-sql: $(VENV)/installed-dev
	@! grep --recursive --line-number --extended-regexp '.{101,}' --include='*.sql' $(SQL)
	@$(SQLFLUFF) lint --processes $(LINTERS) $(SQL)

format: $(VENV)/installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/installed-dev
	@$(BIN)/python docs/render_cli.py > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	@$(BIN)/python -m docs.render_statistics

screenshot: demo $(VENV)/installed-dev browser
	@$(BIN)/python docs/take_screenshot.py demo-site/experiment-21000000001.html

clean:
	rm -rf $(VENV) target logs demo-export demo-site demo.duckdb* profiles.yml

profiles.yml:
	@cp profiles.example.yml $@

$(VENV)/made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or run make PYTHON=/path/to/python" >&2; exit 2; }
	@echo "installing in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip setuptools
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	@$(INSTALL) --editable '.[report]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing the tests' tools …"
	@$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/installed

# What of Spark comes as sources, packed first: it takes one processor, and the rest is installed meanwhile.
$(VENV)/spark-wheels: $(VENV)/made constraints.txt
	@$(PIP) wheel --no-deps $(LOCKED) --config-settings=--build-option=--compression=stored \
		--wheel-dir $(VENV)/wheels pyspark thrift PyHive pure-sasl
	@touch $@

$(VENV)/installed-spark: $(VENV)/installed-dev $(VENV)/spark-wheels
	@echo "installing Spark …"
	@$(INSTALL) --find-links $(VENV)/wheels --editable '.[spark]'
	@touch $@
