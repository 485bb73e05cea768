#!/usr/bin/env bash
# Runs the models, one after another; arguments go to the test binaries (a name runs the models that contain it).
set -euo pipefail
cd "$(dirname "$0")"
unset LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS LOOM_MAX_PREEMPTIONS
RUSTFLAGS="--cfg ttl_loom ${RUSTFLAGS:-}" cargo test --quiet --release --lib --test embedder -- --test-threads=1 --nocapture "$@"
