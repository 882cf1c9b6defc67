# Needs make and Python >= 3.11; every target sets up what it uses in .venv.
#
#   make demo                the demonstration: robust regression on real data
#   make test                lint and all tests
#   make test-other OTHER=python3.13   the tests that depend on Python, on another one
#   make sweep               what takes minutes to hours: all inputs, long fuzzing
#   make fuzz                random programs for two hours on two cores (docs/testing.md)
#   make fuzz-gpu            the same through PTX and its simulator, one minute
#   make bits                kernels for AVX-512, AVX2 and AArch64, their bits compared: tables of docs/testing.md
#   make lint                lint alone
#   make array-api           the public test suite of the array API standard, fetched with git (docs/array_api.md)
#   make opdb                ops of PyTorch's own database beside lucid's, some twenty minutes (docs/pytorch.md)
#   make bench CASE=huber    one benchmark; without CASE, all
#   make test-gpu            tests on the GPU of this machine; NVIDIA's driver is all that they need besides
#   make bench-gpu           benchmarks on it, with the bits compared, beside PyTorch and JAX: benchmarks/results/gpu/
#   make gpu-model           what kernels would reach on an H100, modelled without a GPU: the table of docs/gpu.md
#   make clean               removes .venv and what tools leave behind

PYTHON ?= python3
# Machine code that one run of the tests has made serves the next one: empty at first, so nothing is stale.
CACHE := $(CURDIR)/.test-cache
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CASE ?=
# Tests start some hundred processes, each of which imports lucid: 0.05 s of a processor from bytecode, 0.30 s without.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test tests test-other sweep fuzz fuzz-gpu bits lint array-api opdb bench test-gpu bench-gpu gpu-model clean

demo: $(READY)
	$(BIN)/python examples/huber_regression.py

test: lint tests

# What passes make is verified once: neither the way of a call nor the version of Python changes it.
tests: $(READY)
	rm -rf $(CACHE)
	LUCID_CACHE_DIR=$(CACHE) LUCID_VERIFY=1 $(BIN)/pytest -n auto --dist worksteal
	LUCID_CACHE_DIR=$(CACHE) LUCID_VERIFY=0 LUCID_NATIVE=0 $(BIN)/pytest -n auto --dist worksteal -m "not sweep and not table and not report" tests/lucid

# What users and the native call path meet, on another Python: make test-other OTHER=python3.13
test-other: .venv-other/ready
	.venv-other/bin/python --version
	LUCID_CACHE_DIR=$(CACHE) LUCID_VERIFY=0 .venv-other/bin/pytest -n auto --dist worksteal -m "not sweep and not table" tests/lucid tests/runtime
	rm -rf .venv-other

.venv-other/ready:
	$(OTHER) -m venv .venv-other
	.venv-other/bin/python -m pip install --quiet 'pytest>=8.0' 'pytest-xdist>=3.5' 'hypothesis>=6.100' --editable .
	@touch $@

sweep: $(READY)
	LUCID_TEST_RANDOM=1 LUCID_VERIFY=1 $(BIN)/pytest -m sweep

# Faults, and what reached something first, go to .fuzz; the seed is of the day, and printed.
SECONDS_OF_FUZZ ?= 7200
fuzz: $(READY)
	LUCID_CACHE=0 $(BIN)/python -m lucid fuzz --seconds $(SECONDS_OF_FUZZ) --seed $$(date +%Y%m%d) --jobs 2 --corpus .fuzz

fuzz-gpu: $(READY)
	LUCID_CACHE=0 $(BIN)/python -m lucid fuzz --device ptx-sim --seconds 60 --seed $$(date +%Y%m%d) --jobs 2 --corpus .fuzz

# C compilers make the programs (gcc, aarch64-linux-gnu-gcc), qemu-user runs what is not for this CPU; what is
# not here is named, and left out.
bits: $(READY)
	LUCID_VERIFY=0 $(BIN)/python -m tests.machines

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The suite is in no package index: its release is cloned, with the standard's text, which it reads.
EXAMPLES ?= 50
array-api: $(READY) .array-api/ready
	$(BIN)/python -m pip install --quiet --requirement .array-api/requirements.txt
	cd .array-api && ARRAY_API_TESTS_MODULE=lucid.array_api ../$(BIN)/python -m pytest array_api_tests \
		--disable-deadline --max-examples $(EXAMPLES) --xfails-file ../tests/array_api/xfails.txt

.array-api/ready:
	rm -rf .array-api
	git clone --quiet --depth 1 --branch 2026.02.26 --recurse-submodules --shallow-submodules \
		https://github.com/data-apis/array-api-tests .array-api
	@touch $@

# Every op with samples that PyTorch's own tests make; what differs by decision is in tests/opdb/known.py.
opdb: $(VENV)/ready-bench
	$(BIN)/python -m pip install --quiet expecttest
	LUCID_VERIFY=0 $(BIN)/python -m tests.opdb

bench: $(VENV)/ready-bench
	$(BIN)/python -m benchmarks $(CASE)

# Both say what is missing where there is no GPU, and fail.
test-gpu: $(READY)
	$(BIN)/python -m benchmarks.gpu --look
	LUCID_CACHE_DIR=$(CACHE) $(BIN)/pytest -m gpu tests/gpu/test_device.py

bench-gpu: $(READY)
	$(BIN)/python -m benchmarks.gpu --look
	$(BIN)/python -m pip install --quiet --editable '.[bench-gpu]' || echo "PyTorch and JAX could not be installed"
	$(BIN)/python -m benchmarks.gpu

gpu-model: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[gpu-test]'
	$(BIN)/python -m benchmarks.gpu_model --registers

clean:
	rm -rf $(VENV) .venv-other $(CACHE) .array-api build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lucid needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,demo]'
	@touch $@

$(VENV)/ready-bench: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@
