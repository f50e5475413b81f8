# What is not `go test ./...`: heavier suites, each also run by .ci/run.
GO ?= go

.PHONY: test
test: ## what the README calls the test command
	$(GO) test ./...
