# Everything a developer or CI runs. "make help" lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

prefix := /usr
DESTDIR ?=
# make bench SIZE=100: units of about 15 MB; HISTORY=30: the restored backup is the 30th
SIZE ?= 100
ROUNDS ?= 3
HISTORY ?= 10
release := swift build -c release --static-swift-stdlib

.PHONY: help setup build release test tsan lint bench soak fuzz demo install clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 10

setup: ## install what building and testing need (Debian 12)
	@scripts/setup.sh

build: ## debug build
	swift build

release: ## release build, Swift runtime linked in
	$(release)

test: setup lint ## lint, build and test: what CI runs
	scripts/test.sh

tsan: setup ## the tests under the thread sanitizer, beside the ordinary build
	BUILD_OPTIONS="--sanitize thread --scratch-path .build-tsan" scripts/test.sh

lint: ## formatting, script syntax, the systemd unit, the man pages
	scripts/lint.sh

bench: setup release ## backups and restores against other tools; SIZE=100 ROUNDS=3
	Benchmarks/install-peers.sh
	Benchmarks/bench.sh --size $(SIZE) --rounds $(ROUNDS) --history $(HISTORY)
	Benchmarks/bench.sh --size $(SIZE) --rounds $(ROUNDS) --history $(HISTORY) --postgres 18 \
	  --only full,second,restore --peers basebackup
	Benchmarks/logical.sh --rounds $(ROUNDS)
	Benchmarks/logical-widths.sh
	Benchmarks/drill.sh --rounds $(ROUNDS)
	Benchmarks/wal.sh --rounds $(ROUNDS)
	Benchmarks/s3.sh --rounds $(ROUNDS)
	Benchmarks/commit.sh --rounds $(ROUNDS)

soak: setup ## the long tests at full size
	scripts/soak.sh

fuzz: setup ## the parsers under libFuzzer; FUZZ_SECONDS=20 for each
	scripts/fuzz.sh

demo: setup release ## back up, destroy, restore, watch
	scripts/demo.sh

install: ## programs, unit, completions, man pages and documents below DESTDIR; after "make release"
	scripts/install.sh "$(DESTDIR)" "$(prefix)" .build/release

clean: ## remove build products
	swift package clean
	rm -rf .build-tsan
