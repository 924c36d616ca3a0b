# On a fresh machine with Go two commands do everything:
#
#	make run     builds the broker and serves config.example.yaml
#	make test    runs everything that must hold
#
# What a target needs it gets through the Go module proxy on first use; tools
# are pinned in tools/go.mod. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

GO       ?= go
CONFIG   ?= config.example.yaml
FUZZTIME ?= 10s
BENCHFLAGS ?=
CALLS    ?= 1000000
UNREST   ?= 10m
CLUSTER  ?= 10m

# `broker version` reads what the go command stamps into the binary: the version
# that git knows. Outside a work tree there is nothing to stamp.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)

# The pinned tools run with this repository as working directory.
TOOL := $(GO) tool -modfile=$(CURDIR)/tools/go.mod

# Every module of the repository that holds our own code.
MODULES := . bench clients deploy

# One target after the other: tests that run beside each other take each other's time.
.NOTPARALLEL:

.PHONY: all help run build share check test quick conformance flaky soak clients java debian chromium page page-check redis proxies vet fuzz generate lint fmt bench benchcmp clean

all: fmt lint test ## format, lint and test: the default

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: build ## build the broker and serve CONFIG (config.example.yaml)
	bin/broker serve --config $(CONFIG)

build: ## build bin/broker
	$(GO) build -trimpath -buildvcs=$(BUILDVCS) -ldflags '-s -w' -o bin/broker ./cmd/broker

share: build ## write manual pages and completions to bin/share, for packages
	rm -rf bin/share && mkdir -p bin/share/completions
	bin/broker man bin/share/man
	for shell in bash zsh fish; do bin/broker completion $$shell > bin/share/completions/broker.$$shell; done

check: build ## check CONFIG without serving it
	bin/broker check --config $(CONFIG)

# The tests need Go modules, which the go command fetches, and for -race a C
# compiler: where there is none they run without the race detector, and say so.
test: redis vet quick conformance ## everything that must hold: quick, conformance, a little of every fuzz target
	@echo "fuzzing: every target a little (usually 3 minutes)"
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10000x

RACE = $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo -race)
# A package may take long beside other work; what hangs says so itself, after minutes.
GOTEST = $(GO) test $(RACE) -shuffle=on -timeout 30m
# How many packages are tested at once: most wait more than they work.
ATONCE = $$(( 2 * $$(getconf _NPROCESSORS_ONLN) ))

# What takes minutes, as it plays every script, makes plugins fall, storms or drives clients
# that others wrote. The module of clients is the other part.
CONFORMANCE := ./conversations ./plugin/verify ./soak ./internal/cluster/...

quick: ## all tests but those of conformance (usually 3 minutes on two cores)
	@$(if $(RACE),,echo "note: no C compiler, so no race detector; install gcc for it")
	@echo "quick tests (usually 3 minutes)"
	@all=$$($(GO) list ./...); slow=$$($(GO) list $(CONFORMANCE)); $(GOTEST) -p $(ATONCE) $$(grep -vxF "$$slow" <<<"$$all")
	@cd bench && $(GOTEST) ./...

conformance: redis clients proxies ## the tests that take minutes: scripts, plugins, storms, real clients (usually 20 minutes)
	@echo "conformance: the conversations, over TLS and through plugins too (usually 5 minutes)"
	@$(GOTEST) ./conversations
	@echo "conformance: good and bad plugins are verified (usually 3 minutes)"
	@$(GOTEST) ./plugin/verify
	@echo "conformance: calls, storms, slow readers and reloads at once, and the nodes of clusters die (usually 5 minutes)"
	@$(GOTEST) ./soak
	@echo "conformance: backplanes of clusters, whose nodes and engines are killed (usually 5 minutes)"
	@$(GOTEST) ./internal/cluster/...
	@echo "conformance: clients that others wrote (usually 2 minutes)"
	@cd clients && $(GOTEST) ./...
	@echo "conformance: packages, the image, the chart, and proxies before the broker (usually a minute)"
	@cd deploy && $(GOTEST) ./...

ROUNDS   ?= 10
ALONE    ?= 5
PACKAGES ?= ./...
flaky: redis clients ## ROUNDS (10) rounds of all tests beside a busy loop on each core, then ALONE (5) on one core each (two hours)
	@GO="$(GO)" RACE="$(RACE)" PACKAGES="$(PACKAGES)" .ci/flaky $(ROUNDS) $(ALONE) $(MODULES)

# Usually an hour and a half: each of the six engines of clusters has its CLUSTER.
soak: redis ## CALLS calls (a million) between clients that come and go, UNREST (10m) of storms, slow readers and reloads, CLUSTER (10m) of faults for each engine of clusters
	$(GO) test ./soak -count=1 -v -timeout 4h -args -calls=$(CALLS) -unrest=$(UNREST) -cluster=$(CLUSTER)

# The clients of Node.js that the tests in clients/ drive, and the plugin in Node.js, at
# the versions of their package-lock.json. They are installed anew when that file changes.
NODE := clients/node clients/page examples/plugins/node-phoenix

clients: $(NODE:=/node_modules/.package-lock.json) java debian chromium ## install what the tests of clients/ drive (with npm and apt-get)

# The page of the admin server is read in Chromium.
chromium:
	@if ! type chromium >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing chromium: a test reads the page of the admin server in it"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
		else \
			echo "a test reads the page of the admin server in Chromium: install chromium"; exit 1; \
		fi; \
	fi

# The built files are committed, so that go build alone works.
PAGE := internal/admin/page
page: $(PAGE)/node_modules/.package-lock.json ## build the page of the admin server anew (with npm)
	@cd $(PAGE) && npm run --silent build

page-check: page ## fail if the page that is committed is not what its sources make
	@git diff --exit-code --stat -- $(PAGE)/dist && test -z "$$(git status --porcelain -- $(PAGE)/dist)"

# Java's own client is one source file, which the java of a JDK runs.
java:
	@if ! type java javac >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing a JDK: the tests drive the WebSocket client that comes with Java"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless; \
		else \
			echo "the tests drive the WebSocket client that comes with Java: install a JDK of 11 or newer"; exit 1; \
		fi; \
	fi

# Tests of clusters run Redis itself.
redis:
	@if ! type redis-server >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing redis-server: the tests of clusters run it"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server; \
		else \
			echo "the tests of clusters run redis-server: install it"; exit 1; \
		fi; \
	fi

# The proxies that stand before the broker in the tests of deploy/.
proxies:
	@if ! PATH="$$PATH:/usr/sbin" type nginx haproxy >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing nginx and haproxy: clients connect through them in tests"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light haproxy; \
		else \
			echo "clients connect through nginx and HAProxy in tests: install both"; exit 1; \
		fi; \
	fi

# Tornado and Mojolicious run in the interpreters of Debian's packages.
debian:
	@if ! /usr/bin/python3 -c 'import tornado' 2>/dev/null || ! /usr/bin/perl -MMojolicious -e 1 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing python3-tornado and libmojolicious-perl: the tests drive the WebSocket clients of both"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-tornado libmojolicious-perl; \
		else \
			echo "the tests drive the WebSocket clients of Tornado and Mojolicious: install python3-tornado and libmojolicious-perl"; exit 1; \
		fi; \
	fi

%/node_modules/.package-lock.json: %/package.json %/package-lock.json %/.npmrc
	@if ! type node npm curl >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing nodejs, npm and curl: the tests drive clients of Node.js"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm curl; \
		else \
			echo "the tests drive clients of Node.js: install Node.js 18 or newer, npm and curl"; exit 1; \
		fi; \
	fi
	@echo "npm ci ($*)"
	@cd $* && npm ci && touch node_modules/.package-lock.json

vet:
	@for module in $(MODULES); do (cd $$module && echo "go vet ./... ($$module)" && $(GO) vet ./...); done

# `go test -fuzz` takes one target of one package at a time, so ask for all of
# them first. A list that cannot be made is an error, not an empty list. When
# FUZZTIME is a time, go test now and then fails at its very end because that time
# is over; only that, without a failing input, is no failure.
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@packages=$$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); \
	for package in $$packages; do \
		names=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(grep '^Fuzz' <<<"$$names" || true); do \
			echo "fuzzing $$package $$target for $(FUZZTIME)"; \
			out=$$($(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package 2>&1) || { \
				echo "$$out"; \
				{ grep -q '^    context deadline exceeded$$' <<<"$$out" && ! grep -q 'Failing input' <<<"$$out"; } || exit 1; }; \
		done; \
	done

# The generators are pinned in plugin/buf.gen.yaml. What they write is committed, so
# that nobody needs them who does not change the contract.
generate: ## generate plugin/codecpb from plugin/codec.proto
	cd plugin && $(GO) run github.com/bufbuild/buf/cmd/buf@v1.50.0 generate

lint: ## run the linters (the first time builds golangci-lint: two to three minutes)
	@for module in $(MODULES); do \
		echo "golangci-lint run ($$module)"; \
		(cd $$module && $(TOOL) golangci-lint run --config $(CURDIR)/.golangci.yml ./...); \
	done

fmt: ## format with gofumpt and goimports
	@for module in $(MODULES); do \
		(cd $$module && $(TOOL) golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...); \
	done

bench: build ## measure against the peers and run the Go benchmarks; BENCHFLAGS=-quick takes two minutes
	$(GO) build -o bench/bin/builtin ./examples/plugins/builtin
	cd bench && $(GO) build -o bin/ ./...
	cd bench && bin/bench -broker ../bin/broker $(BENCHFLAGS)
	$(GO) test -run '^$$' -bench . -benchmem ./core/... ./codecs/... ./plugin/contract | \
		bench/bin/ratio -of Match/100000 -to Match/100 -target 2

# BASE is any commit. Its benchmarks run in a work tree of their own, which goes
# when they are done.
COUNT ?= 6
benchcmp: ## compare the Go benchmarks with those of commit BASE, e.g. BASE=main~1
	@[ -n "$(BASE)" ] || { echo "usage: make benchcmp BASE=<commit>"; exit 2; }
	@dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/base"; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/base" "$(BASE)"; \
	(cd "$$dir/base" && $(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./core/... ./codecs/...) > "$$dir/base.txt"; \
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./core/... ./codecs/... > "$$dir/here.txt"; \
	$(TOOL) benchstat base="$$dir/base.txt" here="$$dir/here.txt"

clean: ## remove what the targets build
	rm -rf bin bench/bin
