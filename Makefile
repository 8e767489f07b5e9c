# What a newcomer needs: make demo, make test. Both install what is missing; run twice, the second run installs nothing.

VENV := .venv
PYTHON ?= python3
FLAVOUR ?= full
WORKERS ?= 4
ALONE = $(shell grep -l pytest.mark.alone tests/test_*.py)
STAMP := $(VENV)/.installed

# Tests start hundreds of Pythons: what is compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-machines lint bench clean install ramdisk

help:
	@echo "make demo     a server, six nodes, two of them broken on purpose, and the report that names them"
	@echo "make test     lint, types and all tests"
	@echo "make test-machines  builds the ramdisk, and boots real machines from it (QEMU); a real Kubernetes API server"
	@echo "make ramdisk  the image that machines with empty disks boot (FLAVOUR=full or virtual), below ramdisk/out"
	@echo "make bench    the benchmarks, peers side by side"
	@echo "make install  system packages and the virtual environment, nothing else"

demo: install
	$(VENV)/bin/ahc lab --nodes 6 --break n3=slow-disk --break n5=slow-nic --plan quick --check

# Tests go side by side, more than there are CPUs, for most of them wait; those that judge real measurements come after, alone.
test: install lint
	@sh .ci/packages test
	$(VENV)/bin/pytest -m 'not machines and not alone' -n $(WORKERS) --dist worksteal
	$(VENV)/bin/pytest -m 'alone and not machines' $(ALONE)

test-machines: install
	@sh .ci/packages ramdisk
	@sh .ci/packages machines
	$(VENV)/bin/pytest -m machines

lint: install
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# FLAVOUR=virtual takes Debian's cloud kernel; OPTIONS adds to the image ("--extra tcpdump"): python -m ramdisk build --help
ramdisk: install
	@sh .ci/packages ramdisk
	$(VENV)/bin/python -m ramdisk build --flavour $(FLAVOUR) $(OPTIONS)

bench: install
	@sh .ci/packages bench
	$(VENV)/bin/pytest benchmarks --benchmark-enable --benchmark-only --benchmark-disable-gc -s

install: $(STAMP)

# The stamp holds what was installed from; it is made anew when pyproject.toml or the pins change.
$(STAMP): pyproject.toml constraints.txt .ci/packages
	@sh .ci/packages run
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[server,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks *.egg-info ramdisk/out
