# Every command of the house. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
    @just --list --unsorted

# Start the whole system with the sample story, over an embedded PostgreSQL
up *arguments:
    uv run registry up --sample {{ arguments }}

# As `up`, with every line there is, for a person, and tracebacks
dev *arguments:
    REGISTRY_LOG_FORMAT=console REGISTRY_LOG_LEVEL=debug uv run registry up --sample {{ arguments }}

# Run the tests
test *arguments:
    uv run pytest {{ arguments }}

# Try the images and the compose file, with faults, failover, upgrade and restore under load: needs a Docker engine
containers *arguments:
    REGISTRY_TEST_REQUIRE=all uv run pytest --numprocesses=0 tests/containers {{ arguments }}

# Run the tests and show what they do not reach
cov *arguments:
    uv run pytest --cov --cov-report=term-missing {{ arguments }}

# All that CI runs, but for containers
check: static test bench-quick

# Put the code in form and mend what can be mended mechanically
fmt:
    uv run ruff check --fix .
    uv run ruff format .

# Measure beside peers and beside the limit
bench *arguments='append':
    uv run python -m bench {{ arguments }}

# Write the generated pages of docs/
docs:
    uv run python docs/generate.py

[private]
static: lock format lint types imports docs-check

[private]
lock:
    uv lock --check

[private]
format:
    uv run ruff format --check .

[private]
lint:
    uv run ruff check .

[private]
types:
    uv run pyright

[private]
imports:
    uv run lint-imports --no-logo

[private]
docs-check:
    uv run python docs/generate.py --check

[private]
bench-quick:
    uv run python -m bench --quick
