#!/usr/bin/env bash
# Runs all models and prints docs/models.md: each with its bound, what it took, and the mutants it goes red for.
set -euo pipefail
cd "$(dirname "$0")"
unset LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS LOOM_MAX_PREEMPTIONS MODEL_BOUND
export RUSTFLAGS="--cfg ttl_loom ${RUSTFLAGS:-}"
ran=$(mktemp)
trap 'rm -f "$ran"' EXIT
cargo test --release --lib --test embedder -- --test-threads=1 --nocapture >"$ran" 2>&1 || { cat "$ran" >&2; exit 1; }
awk '
    # The list of mutants comes first.
    FILENAME ~ /mutants.txt$/ {
        if ($1 == "mutant") name = $2
        if ($1 == "red") red[$2] = red[$2] (red[$2] ? ", " : "") name
        next
    }
    $1 == "test" && $2 != "result:" { test = $2; sub(/^loom_tests::/, "", test) }
    match($0, /model .*: bound [^,]*, [0-9]+ executions, .*$/) {
        line = substr($0, RSTART)
        n = split(line, parts, /: bound |, | executions, /)
        bound = parts[n - 2]; executions = parts[n - 1]; time = parts[n]
        sub(/ executions$/, "", executions)
        seconds = time + 0
        if (time ~ /ms$/) seconds /= 1000; else if (time ~ /µs$/) seconds /= 1000000
        models++; total += executions; sum += seconds; count[bound]++
        rows = rows sprintf("| `%s` | %s | %d | %.1f | %s |\n", test, bound, executions, seconds, red[test])
    }
    END {
        print "# Models\n"
        print "Printed by `loom_tests/table.sh`. What they have in common is told in [verification.md](verification.md). Those with two rows are run for both ways in which a read looks at a bin: under its header, and at all words at once.\n"
        printf "%d models, %d of them without a bound; %d executions in %d s.\n\n", models, count["none"], total, sum
        print "| model | preemptions | executions | s | mutants that turn it red |\n|---|---|---|---|---|"
        printf "%s", rows
    }
' mutants.txt "$ran"
