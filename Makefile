# Everything that is done to this repository, by people and by .ci/run. `make` alone lists it.

GO         ?= go
ENGINE     ?= docker
FUZZTIME   ?= 10s
ROUNDS     ?= 7
SOAK       ?= 1m
RELEASE_ARCHITECTURES = amd64 arm64

TOOL = $(GO) tool -modfile=tools/go.mod

# promtool and amtool are installed with `go install`, see .ci/run.
export PATH := $(PATH):$(shell $(GO) env GOPATH)/bin

.DEFAULT_GOAL := help

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the exporter, for this machine
	$(GO) build .

.PHONY: test
test: ## the test command of the README
	$(GO) test ./...

.PHONY: race
race: ## the same under the race detector (needs a C compiler)
	$(GO) test -race ./...

## Reading

.PHONY: lint
lint: ## formatting, vet, staticcheck, modernisers, modules, workflows
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w these: $$unformatted"; exit 1; }
	$(GO) vet ./...
	cd e2e && $(GO) vet ./...
	$(TOOL) staticcheck ./...
	cd e2e && $(GO) tool -modfile=../tools/go.mod staticcheck ./...
	$(GO) fix -diff ./...
	cd e2e && $(GO) fix -diff ./...
	for module in . e2e tools; do (cd $$module && $(GO) mod tidy -diff && $(GO) mod verify) || exit 1; done
	$(TOOL) actionlint

.PHONY: rules
rules: ## Prometheus' and Alertmanager's own tools over prometheus/ (needs promtool and amtool)
	promtool check rules --lint=all --lint-fatal prometheus/appfigures.rules.yml
	promtool test rules prometheus/appfigures.rules.test.yml
	promtool check config --lint=all --lint-fatal prometheus/prometheus.yml
	amtool check-config prometheus/alertmanager.yml

.PHONY: vuln
vuln: ## known vulnerabilities of what the exporter calls (asks a database on the internet)
	$(TOOL) govulncheck ./...

## Running

.PHONY: e2e
e2e: ## every suite of e2e/ but the soak: against the real programs, as root on Debian
	cd e2e && $(GO) test -count=1 $$($(GO) list ./... | grep -v /soak$$)

.PHONY: image-test
image-test: ## builds the image without an engine or a registry, reads it, runs it (root; Debian's buildah, busybox-static)
	cd e2e && $(GO) test -count=1 -v ./image

.PHONY: compose-test
compose-test: ## compose.yaml: what it mounts, passes, wires and opens
	cd e2e && $(GO) test -count=1 ./compose

.PHONY: systemd-test
systemd-test: ## the systemd unit (needs systemd-analyze)
	cd e2e && $(GO) test -count=1 ./systemd

.PHONY: soak
soak: ## everything at once for SOAK, a minute unless told otherwise
	cd e2e && $(GO) test -count=1 -v -timeout 0 ./soak -soak $(SOAK)

.PHONY: bench
bench: ## what a scrape costs, beside a bare client and blackbox_exporter (Linux; a quiet machine)
	cd e2e && $(GO) run ./bench -rounds $(ROUNDS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@found=; \
	for package in $$($(GO) list ./...); do \
		targets=$$($(GO) test -list '^Fuzz' $$package) || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			found=yes; \
			echo "$$package $$target"; \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$package || exit 1; \
		done; \
	done; \
	test -n "$$found" || { echo 'there is no fuzz target'; exit 1; }

## Releasing

.PHONY: image
image: ## the container image, with ENGINE
	$(ENGINE) build $$(sh deploy/stamp.sh | sed 's/^/--build-arg /') -t appfigures_exporter .

.PHONY: release
release: ## the release binaries, in dist/
	rm -rf dist
	for arch in $(RELEASE_ARCHITECTURES); do \
		env $$(sh deploy/stamp.sh) GOOS=linux GOARCH=$$arch sh deploy/build.sh dist/appfigures_exporter-linux-$$arch || exit 1; \
	done
	cp LICENSE dist/
	cd dist && sha256sum appfigures_exporter-* >SHA256SUMS

.PHONY: reproducible
reproducible: ## builds the commit twice, in different places, and compares
	sh deploy/reproducible.sh
