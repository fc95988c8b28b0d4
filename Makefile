# What people type. Each target works on a fresh machine with Python 3.11 or later; the work is in scripts/.

.PHONY: help venv demo data test check bench wheel clean

help: ## this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: ## .venv with everything installed
	@scripts/venv

data: venv       ## real shops for demo and benchmarks, into .data/packages
	@scripts/data

demo: venv       ## sandbox platforms, filled and kept in step; needs no account
	@scripts/data || echo "The data packages cannot be had; the demo uses made-up customers." >&2
	@LISTBRIDGE_DATA=$(CURDIR)/.data/packages .venv/bin/listbridge demo

test: venv       ## the whole suite, with branch coverage of the pure core
	@scripts/test

check: venv      ## lint, format, types, direction of imports
	@scripts/check

bench: venv data ## speed and memory, beside other tools
	@LISTBRIDGE_DATA=$(CURDIR)/.data/packages .venv/bin/python -m benchmarks

wheel: venv      ## build the wheel and try it outside the checkout
	@scripts/wheel

clean: ## all that can be made again
	rm -rf .venv .data dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
