# The commands of this repository, for people and for .ci/run. `make` alone lists them.

GO         ?= go
ENGINE     ?= docker
# A number of inputs: at the end of a time, Go 1.26 can fail with "context deadline exceeded".
FUZZTIME   ?= 20000x
ROUNDS     ?= 7
SOAK       ?= 90s
MODULES = . e2e e2e/chart e2e/kubernetes

TOOL = $(GO) tool -modfile=tools/go.mod

# promtool, amtool, helm and helm-docs are installed with `go install`, see .ci/run.
export PATH := $(PATH):$(shell $(GO) env GOPATH)/bin

.DEFAULT_GOAL := help

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the exporter, for this machine
	$(GO) build .

.PHONY: test
test: ## the unit tests
	$(GO) test ./...

# TestModel and TestDelays compute in one goroutine; other random weeks are shorter.
.PHONY: race
race: ## the unit tests of the packages with goroutines, with the race detector (needs a C compiler)
	$(GO) test -race -short -skip '^(TestModel|TestDelays)$$' \
		$(addprefix ./internal/,appfigures config exporter logbuffer monitor state web)

## Checking

.PHONY: lint
lint: ## formatting, vet, staticcheck, go fix, modules, workflows
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w: $$unformatted"; exit 1; }
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	set -e; for module in $(MODULES); do ( \
		cd $$module; \
		$(GO) vet ./...; \
		$(GO) tool -modfile=$(CURDIR)/tools/go.mod staticcheck ./...; \
		$(GO) fix -diff -stringsbuilder=false ./... \
	); done
	set -e; for module in $(MODULES) tools; do (cd $$module; $(GO) mod tidy -diff; $(GO) mod verify); done
	$(TOOL) actionlint

.PHONY: rules
rules: ## the rules and configurations in prometheus/ (needs promtool and amtool)
	promtool check rules --lint=all --lint-fatal prometheus/appfigures.rules.yml
	promtool test rules prometheus/appfigures.rules.test.yml
	promtool check config --lint=all --lint-fatal prometheus/prometheus.yml
	amtool check-config prometheus/alertmanager.yml
	@# The commented example of a team's route gets its alerts, of either severity, and no others.
	uncommented=$$(mktemp) && trap 'rm -f "$$uncommented"' EXIT && set -e && \
	sed -E 's/^( *)# ( *(- )?[a-z_]+:)/\1\2/' prometheus/alertmanager.yml >$$uncommented && \
	amtool check-config $$uncommented && for severity in critical warning; do \
		amtool config routes test --config.file=$$uncommented --verify.receivers=growth team=growth severity=$$severity; \
		amtool config routes test --config.file=$$uncommented --verify.receivers=team severity=$$severity; \
	done

.PHONY: chart-test
chart-test: ## the Helm chart, without Kubernetes (needs helm, helm-docs and promtool)
	cd e2e/chart && $(GO) test -count=1 .

.PHONY: vuln
vuln: ## known vulnerabilities in what the exporter calls (needs the internet)
	$(TOOL) govulncheck ./...

.PHONY: chart
chart: ## the README of the Helm chart, from its values.yaml (needs helm-docs)
	helm-docs --chart-search-root=deploy/helm

## Running

.PHONY: e2e
e2e: ## the end-to-end tests with the real programs, as root on Debian; see .ci/run for what they need
	cd e2e && $(GO) test -count=1 -parallel 8 ./prometheus ./server ./packaging

.PHONY: kubernetes-test
kubernetes-test: ## the Helm chart on a real control plane, which it builds (needs helm; 20 minutes the first time)
	cd e2e/kubernetes && $(GO) test -count=1 -v -timeout 1h .

.PHONY: docker-test
docker-test: ## the image and compose.yaml on a Docker engine that it starts, as root on Debian; see .ci/run
	cd e2e && $(GO) test -count=1 -parallel 8 -v -run '^TestDocker$$' ./packaging

.PHONY: soak
soak: ## everything at once for SOAK, by default 90 seconds
	cd e2e && $(GO) test -count=1 -v -timeout 0 ./soak -soak $(SOAK)

.PHONY: bench
bench: ## the cost of a scrape, beside a bare client and blackbox_exporter (Linux, a quiet machine)
	cd e2e && $(GO) test -count=1 -v -timeout 0 ./bench -rounds $(ROUNDS)

.PHONY: fuzz
fuzz: ## each fuzz target with FUZZTIME inputs
	@found=; \
	for package in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' $$package) || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			found=yes; \
			echo "$$package $$target"; \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$package || exit 1; \
		done; \
	done; \
	test -n "$$found" || { echo 'no fuzz target'; exit 1; }

## Releasing

.PHONY: image
image: ## the container image, built with ENGINE
	DOCKER_BUILDKIT=1 $(ENGINE) build $$(sh deploy/stamp.sh | sed 's/^/--build-arg /') -t appfigures_exporter .

.PHONY: nfpm
nfpm: ## installs nfpm, which makes the deb and the rpm
	$(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

.PHONY: cosign
cosign: ## installs cosign, which signs
	$(GO) install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3

.PHONY: release-tools
release-tools: nfpm cosign ## installs all that a release needs (20 minutes)
	$(GO) install github.com/goreleaser/goreleaser/v2@v2.15.1
	$(GO) install github.com/anchore/syft/cmd/syft@v1.57.0

.PHONY: release-check
release-check: ## makes a release in dist/ without publishing it, and checks it (needs release-tools)
	sh deploy/release-check.sh

.PHONY: reproducible
reproducible: ## builds the commit twice, in different directories, and compares
	sh deploy/reproducible.sh
