# `make demo` and `make test` need python3 (3.11 or newer) and make; they set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
DEMO := build/demo
THOROUGH := build/thorough

.PHONY: demo test lint docs fuzz mutants thorough readme clean

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3: expected 3.11 or newer, got " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/.ready
	@mkdir -p $(DEMO)
	@date +%s > $(DEMO)/began
	$(BIN)/python -m real calibrate digits --times 25 --out $(DEMO)/digits.safetensors
	$(BIN)/python -m real validate digits --calibration $(DEMO)/digits.safetensors --draws 2 --out $(DEMO)/report
	$(BIN)/python -m theory --json $(DEMO)/theory.json
	$(BIN)/python -m toy verify --examples 50 --json $(DEMO)/verify.json
	$(BIN)/python -m toy plots --out $(DEMO)/figures
	$(BIN)/python -m real fit-solver digits --nfe 5 --out $(DEMO)/fitted.safetensors --report $(DEMO)/fitted.html
	$(BIN)/python docs/demo.py $(DEMO)

test: .venv/.ready lint
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site: open build/site/index.html. Every warning is an error.
docs: .venv/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo build/site/index.html

# Changed files of every kind for every reader, many more than in the tests (an hour).
fuzz: .venv/.ready
	FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/real/test_fuzz.py

# One fault after another in a copy of the code, and the tests that should see it (20 minutes).
mutants: .venv/.ready
	$(BIN)/python -m tests.mutants --jobs 2

# Two thousand cases of each claim at three seeds, and what the README says of it (half an hour).
thorough: .venv/.ready
	@mkdir -p $(THOROUGH)
	for seed in 0 1 2; do \
		$(BIN)/python -m toy verify --examples 2000 --seed $$seed --json $(THOROUGH)/$$seed.json || exit; \
	done
	$(BIN)/python docs/thorough.py $(THOROUGH)/*.json

# Fill the figures of README.md and docs/RESULTS.md from what the demo and the studies wrote (an hour more).
readme: demo
	$(BIN)/python -m real study digits --times 8 --seeds 3 --out build/study
	$(BIN)/python -m real repair-study digits --times 12 --samples 200 --out build/repair-study
	$(BIN)/python -m real solver-study digits --out build/solvers
	$(BIN)/python docs/readme.py demo=$(DEMO) study=build/study repair=build/repair-study solvers=build/solvers

clean:
	rm -rf .venv build
