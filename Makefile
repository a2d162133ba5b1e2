# make run is where to begin: it builds the program and runs it with demo traffic.

BIN      := bin/tributary
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  := -X main.version=$(VERSION)
FUZZTIME ?= 10s
TOOL     := go tool -modfile=tools.mod

.PHONY: run build test lint generate fuzz bench bench-peers soak kafka-libs ci clean help

run: build ## build, and run everything on this machine with demo traffic
	$(BIN) up --demo

build: ## build bin/tributary
	go build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tributary

test: ## run all tests
	go test -timeout 30m ./...

lint: ## vet, staticcheck and gofumpt
	go vet ./...
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) gofumpt -l .); [ -z "$$out" ] || { echo "gofumpt would change:"; echo "$$out"; exit 1; }

generate: ## write generated code and reference pages again
	go generate ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	scripts/fuzz.sh $(FUZZTIME)

bench: ## run all benchmarks once
	go test -run '^$$' -bench . -benchmem ./...

bench-peers: ## compare with other collectors and with Apache Kafka; prints ratios (PEERS: its arguments)
	cd peers && go run ./bench $(PEERS)

soak: build ## run everything with demo traffic for MINUTES (10), then the tests that break things, each as long
	scripts/soak.sh $(MINUTES)

kafka-libs: ## fetch Apache Kafka for the tests that need it, into .cache
	scripts/kafka.sh libs

ci: ## everything that a change has to pass
	.ci/run

clean: ## remove what was built
	rm -rf bin

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
