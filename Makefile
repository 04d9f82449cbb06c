# Every target is a command that a person could type. What a start leaves behind lies in .local/.
.DEFAULT_GOAL := help
.PHONY: help demo run up down console tail test test-browser screenshots bench-loss lint lint-rust lint-supply lint-infra package deploy destroy

PYTHON ?= python3
export PYTHONDONTWRITEBYTECODE := 1
LOCAL := $(PYTHON) tests/local

# Of the deployed stack: make deploy ENVIRONMENT=dev ARCH=x86_64
ENVIRONMENT ?= prod
ARCH ?= arm64

CARGO_DENY := $(or $(shell command -v cargo-deny),.local/bin/cargo-deny)
NEXTEST := $(shell cargo nextest --version 2>/dev/null)
RUNNER := $(if $(NEXTEST),nextest run,test)

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: ## the whole way of an integration, step by step, on this machine
	@$(LOCAL)/stack.py with --dir .local/demo -- sh -c 'exec "$$STACKHOOK_PROGRAMS/demo" "$$STACKHOOK_STACK"'

run: ## the local stack with its console, until Ctrl-C
	@$(LOCAL)/stack.py run

up: ## the same in the background; .local/stack.json has its addresses, .local/console.json the console's link
	@$(LOCAL)/stack.py up

down: ## end it
	@$(LOCAL)/stack.py down

console: ## Stackhook's page on this machine, until Ctrl-C; of the local stack: make console STACK=.local/stack.json (OPTIONS=--help)
	@$(LOCAL)/console.py $(if $(STACK),--stack $(STACK),--environment $(ENVIRONMENT)) $(if $(OPTIONS),-- $(OPTIONS))

tail: ## deliveries as they come, until Ctrl-C; of the local stack: make tail STACK=.local/stack.json (OPTIONS=--help)
	@$(LOCAL)/tail.py $(if $(STACK),--stack $(STACK),--environment $(ENVIRONMENT)) $(if $(OPTIONS),-- $(OPTIONS))

test: ## every test, on a local stack of its own (of one: make test ONLY=name)
	@$(if $(NEXTEST),,echo 'cargo-nextest is not installed: cargo test does it, a little slower')
	@$(if $(PAYLOAD_CORPUS),,echo 'PAYLOAD_CORPUS is not set: of payloads only our own samples are run (tests/README.md)')
	@$(if $(OPENAPI_SPECS),,echo 'OPENAPI_SPECS is not set: no exchange with Azure DevOps is judged by its documents (tests/README.md)')
	@$(LOCAL)/stack.py with --dir .local/test -- sh -c '$(LOCAL)/stack.py plan --dir .local/test && exec cargo $(RUNNER) --locked --workspace $(ONLY)'

test-browser: ## the console in a real Chromium, on a local stack of its own (of one: make test-browser ONLY=name)
	@$(LOCAL)/browser.py test $(if $(ONLY),-- -k '$(ONLY)')

screenshots: ## of what test-browser has drawn, those that the README shows
	@$(LOCAL)/browser.py screenshots

bench-loss: ## what a day with outages loses, beside a receiver that answers as others do
	@$(LOCAL)/stack.py with --dir .local/bench -- sh -c 'exec "$$STACKHOOK_PROGRAMS/bench_loss" "$$STACKHOOK_STACK"'

lint: lint-rust lint-supply lint-infra ## format, lints, docs, dependencies, Terraform, the executor example's scripts

lint-rust:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps --document-private-items

lint-supply: $(CARGO_DENY)
	$(CARGO_DENY) --locked check --hide-inclusion-graph bans licenses sources

# With what an executor's own scripts do: those need curl and unzip beside Python and Terraform.
lint-infra:
	@$(LOCAL)/infra.py check
	@$(PYTHON) infra/examples/codebuild/tests/scripts.py

.local/bin/cargo-deny:
	@echo '· cargo install cargo-deny to .local (once, some minutes)'
	@cargo install --quiet --locked --root .local cargo-deny@0.20.2

package: ## the zips for Lambda, in target/package/ (ARCH=arm64 or x86_64)
	@$(LOCAL)/package.py --arch $(ARCH)

deploy: ## package, and terraform apply to the account of your credentials (ENVIRONMENT=prod)
	@$(LOCAL)/infra.py deploy --environment $(ENVIRONMENT) --arch $(ARCH)

destroy: ## remove what deploy made; refuses while integrations exist
	@$(LOCAL)/infra.py destroy --environment $(ENVIRONMENT)
