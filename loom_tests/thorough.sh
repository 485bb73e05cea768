#!/usr/bin/env bash
# The models under a loom that takes every load into account when it looks for races with a store or CAS, which 0.7.3
# does not (tokio-rs/loom#166, #392; loom.patch): up to ten times the executions.
#
#   loom_tests/thorough.sh [BOUND [NAME]]      at this bound of preemptions, 2 if not given, or none
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
unset LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS LOOM_MAX_PREEMPTIONS
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}/thorough
work=$CARGO_TARGET_DIR/sources
rm -rf "$work"
mkdir -p "$work/loom_tests"
cp -r "$here/../src" "$work/src"
cp "$here"/*.rs "$here"/Cargo.* "$here/run.sh" "$work/loom_tests"
manifest=$(cargo metadata --quiet --locked --format-version 1 --manifest-path "$here/Cargo.toml" |
    grep -o '"manifest_path":"[^"]*/loom-0\.7\.3/Cargo\.toml"' | head -1 | cut -d'"' -f4)
cp -r "$(dirname "$manifest")" "$work/loom"
patch --quiet --directory "$work/loom" --strip 1 <"$here/loom.patch"
printf '\n[patch.crates-io]\nloom = { path = "../loom" }\n' >>"$work/loom_tests/Cargo.toml"
MODEL_BOUND=${1:-2} exec "$work/loom_tests/run.sh" "${@:2}"
