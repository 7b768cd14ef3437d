# Thin: the work is in scripts/ and CMake.
.PHONY: help setup build test demo fuzz torture torture-index bench bench-encoder bench-index bench-catalog bench-eval bench-retrieval lint clean

help:
	@echo "make demo    set up, build, and show the whole pipeline on real pictures"
	@echo "make test    set up, build, and run every test"
	@echo "make build   set up and build: build/release/vsx, libvsearch.so, the Python module"
	@echo "make fuzz    search for inputs that break the parsers; SECONDS=600 says for how long"
	@echo "make torture every fault a catalogue can meet, for hours; SECONDS=600 says for how long each set of threads"
	@echo "make torture-index  sixteen threads against one index for half an hour; SECONDS=600 says for how long"
	@echo "make bench   every benchmark beside its peers; make bench-encoder, bench-index, bench-catalog, bench-eval, bench-retrieval one; QUICK=1 for a smaller run"
	@echo "make lint    formatting, clang-tidy, ruff (scripts/setup --dev installs them)"
	@echo "make clean   remove what was built; what was set up stays"

setup:
	@scripts/setup

build: setup
	@scripts/build

test: build
	@scripts/test

demo: build
	@scripts/demo

# A shell has a SECONDS of its own, so only what the command line gives is passed on.
fuzz:
	@scripts/fuzz $(if $(filter command line,$(origin SECONDS)),$(SECONDS))

torture: build
	@scripts/torture $(if $(filter command line,$(origin SECONDS)),$(SECONDS))

torture-index: build
	@scripts/torture index $(if $(filter command line,$(origin SECONDS)),$(SECONDS))

bench: bench-encoder bench-index bench-catalog bench-eval bench-retrieval

bench-encoder: build
	@scripts/bench encoder

bench-index: build
	@scripts/bench index

bench-catalog: build
	@scripts/bench catalog

bench-eval: build
	@cmake --build --preset release --target eval_bench
	@build/release/eval_bench

bench-retrieval: build
	@scripts/bench retrieval

lint:
	@scripts/lint

clean:
	rm -rf build
