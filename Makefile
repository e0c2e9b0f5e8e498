# aida: `make run` starts the appliance with sample data, `make test` runs the tests.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X aida/app.version=$(VERSION)
BUILD   := .build
SIZE    ?= s

export CGO_ENABLED ?= 0

.PHONY: run build test lint bench bench-scale fuzz torture clean clients duckdb

run: build ## start a sample company; ends with Ctrl-C, keeps its state under data/demo
	$(BUILD)/aida demo --data data/demo --size $(SIZE)

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BUILD)/aida .

test: clients lint duckdb ## everything that decides whether a change may land
	AIDA_DUCKDB=$(CURDIR)/$(BUILD)/duckdbq $(GO) test -timeout 20m ./...

lint:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The stock clients that the tests drive. On Debian and Ubuntu they are installed when missing.
clients:
	@for c in ssh sftp scp ssh-keygen sshd lftp rsync curl python3; do PATH=$$PATH:/usr/sbin command -v $$c >/dev/null || missing="$$missing $$c"; done; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	if [ -n "$$missing" ]; then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq openssh-client openssh-server lftp rsync curl chromium python3 python3-venv python3-matplotlib >/dev/null; \
	  else echo "missing:$$missing. Install openssh-client, openssh-server, lftp, rsync, curl, chromium and python3 with venv first."; exit 1; fi; fi

# DuckDB judges every Parquet file in the tests. It needs cgo and lives in a module of its own, so never in the binary.
duckdb: $(BUILD)/duckdbq

$(BUILD)/duckdbq: $(wildcard testdata/duckdb/*.go) testdata/duckdb/go.mod
	@mkdir -p $(BUILD)
	cd testdata/duckdb && CGO_ENABLED=1 $(GO) build -o $(CURDIR)/$(BUILD)/duckdbq .

bench: build duckdb ## side by side with DuckDB, OpenSSH and rsync on this machine; AIDA_BENCH_FULL=1 for the full sizes, AIDA_BENCH_BYTES and AIDA_BENCH_ROWS set others
	AIDA_BENCH=1 AIDA_BINARY=$(CURDIR)/$(BUILD)/aida AIDA_DUCKDB=$(CURDIR)/$(BUILD)/duckdbq $(GO) test -timeout 60m -count=1 -v -run 'TestBench' ./app

bench-scale: ## what is large, each tried once: tables, generations, columns, cells, partitions, files, people, audit rows
	@mkdir -p $(BUILD); AIDA_BENCH_SCALE=1 $(GO) test -timeout 60m -count=1 -v -run '^TestScale|AHundredThousandFiles' ./store ./syncer ./sftpd/tree >$(BUILD)/scale.log 2>&1; code=$$?; \
	sed -n 's/^ *[a-z_]*_test.go:[0-9]*: //p' $(BUILD)/scale.log; [ $$code = 0 ] || tail -40 $(BUILD)/scale.log; exit $$code

# Rooms with long forms of their tests. After a run that was broken off, name those that are left: make torture ROOMS=./app
ROOMS ?= $(shell grep -rlE --include='*_test.go' 'AIDA_TORTURE|torture.t,' . | xargs -n1 dirname | sort -u)

torture: clients duckdb ## the long forms of tests: kills, cut connections, vast trees, all options in all protocols; AIDA_TORTURE sets how often (200), AIDA_SEED repeats a run
	@export AIDA_TORTURE=$${AIDA_TORTURE:-200} AIDA_SEED=$${AIDA_SEED:-$$(date +%s)} AIDA_DUCKDB=$(CURDIR)/$(BUILD)/duckdbq; \
	echo "AIDA_TORTURE=$$AIDA_TORTURE AIDA_SEED=$$AIDA_SEED"; failed=; \
	for d in $(ROOMS); do \
	  names=$$(grep -hoE '^func Test[A-Za-z0-9_]+' $$(grep -lE 'AIDA_TORTURE|torture.t,' $$d/*_test.go) | awk '{print $$2}' | paste -sd '|'); \
	  echo "$$d: $$names"; $(GO) test -timeout 6h -count=1 -v -run "^($$names)\$$" $$d || failed="$$failed $$d"; done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed; again with AIDA_SEED=$$AIDA_SEED make torture ROOMS=\"$${failed# }\""; exit 1; fi

# Room and name of each fuzz target, and the inputs that were found to be of interest so far, of all of them.
FUZZ    ?= $(shell grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' . | sed -E 's|/[^/]*:[0-9]+:func |:|' | sort -u)
CORPORA := testdata/corpora.tgz

fuzz: ## ten minutes for each fuzz target, from the inputs that earlier runs kept; FUZZ=./sftpd/rsync:FuzzList names some
	@kept=$$($(GO) env GOCACHE)/fuzz; mkdir -p $$kept; if [ -f $(CORPORA) ]; then tar -xzf $(CORPORA) -C $$kept; fi; \
	for t in $(FUZZ); do echo "$$t"; \
	  $(GO) test -run '^$$' -fuzz "^$${t##*:}$$" -fuzztime $${FUZZTIME:-10m} -fuzzminimizetime 1s $${t%%:*} || exit 1; \
	  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - -C $$kept aida | gzip -n9 >$(CORPORA); done

clean:
	rm -rf $(BUILD) data/demo
