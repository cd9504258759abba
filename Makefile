# Everything a person types. `make` alone lists it. The work is done by scripts/, cargo and npm;
# here stands only what depends on what.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# One target folder for the demo, the tests and the analyses, so that nothing is compiled twice.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

# The demo runs the `dev` profile: docs/decisions/0002-demo-profile.md has the measured reasons.
PROFILE ?= dev
profile_dir = $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
export BELLJAR_BIN ?= $(CARGO_TARGET_DIR)/$(profile_dir)/belljar

export DATA RUNSC

web_sources = $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)

.PHONY: help
help: ## Lists the targets
	@printf 'Belljar: other people'\''s analyses on private data, under glass.\n\n'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  make demo DATA=path/to/export.csv   the demo on your own file\n'

.PHONY: tools
tools:
	@scripts/check-tools.sh

.PHONY: setup
setup: tools ## Installs what Belljar and its tests need, starts Docker where no init does (RUNSC=path for a newer gVisor)
	@scripts/setup.sh --for test

.PHONY: build
build: tools web ## Builds the binary, web pages included
	cargo build --locked --profile $(PROFILE) -p belljar

.PHONY: web
web: web/dist/.built ## Builds the web pages, when their sources changed

web/node_modules/.installed: web/package.json web/package-lock.json
	@scripts/check-tools.sh
	cd web && npm ci --ignore-scripts --no-fund --no-audit
	@touch $@

web/dist/.built: web/node_modules/.installed $(web_sources)
	cd web && npm run build
	@touch $@

.PHONY: analyses
analyses: ## Builds the images of the sample analyses
	analyses/build.sh

.PHONY: demo
demo: tools ## Sets up, builds, starts Belljar and runs the demo DAG in real containers
	@scripts/setup.sh --for demo
	@$(MAKE) build
	@scripts/demo.sh

.PHONY: token
token: ## Prints the token that signs you in to the web page
	@scripts/token.sh

.PHONY: stop
stop: ## Stops Belljar, and Docker if `make` had to start it
	@scripts/stop.sh

.PHONY: test
test: tools ## Runs every check and every test
	@scripts/setup.sh --for test
	@scripts/test.sh

.PHONY: lint
lint: tools ## Formatting, clippy and the import rules only
	@scripts/test.sh lint

.PHONY: clean
clean: ## Removes what was built (not the data of a running Belljar)
	rm -rf web/dist web/node_modules
	cargo clean
