#!/usr/bin/env bash
# Instructions an operation, counted by callgrind, beside the figures of benches/instructions.txt: a regression shows
# without a quiet machine. Fails when one has grown by more than 5 %, and by more than the two that come and go with each
# build's registers.
#
#   benches/instructions.sh           compare
#   benches/instructions.sh --write   take the figures as the new baseline
#
# What callgrind sees of a reading of the clock is a system call, as it hides the kernel's fast path: some instructions
# fewer than really run, the same for all.
#
# Valgrind knows no AVX-512: what is counted is the way of comparing tags that has SSE2 alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BASELINE=benches/instructions.txt
readonly LIMIT=5 # percent
readonly SLACK=2
# Two counts of operations: the difference of the totals is that of the operations.
readonly FEW=20000 MANY=60000

command -v valgrind >/dev/null || { echo 'SKIPPED: no valgrind'; exit 77; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

program=$(cargo bench --no-run --bench instructions --message-format=json 2>"$scratch/build" \
    | sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1) || true
[[ -x $program ]] || { cat "$scratch/build"; echo 'FAILED: no program'; exit 1; }

# The instructions of $2 times the question $1, all in all.
total() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>"$scratch/out" \
        || { cat "$scratch/out" >&2; return 1; }
    sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p' "$scratch/out"
}

# Prints "question instructions" a line.
measure() {
    local question few many
    while read -r question; do
        few=$(total "$question" "$FEW")
        many=$(total "$question" "$MANY")
        awk -v q="$question" -v few="$few" -v many="$many" -v count=$((MANY - FEW)) \
            'BEGIN { printf "%s %.1f\n", q, (many - few) / count }'
    done < <("$program")
}

measure >"$scratch/now"
if [[ ${1-} == --write ]]; then
    {
        echo "# Instructions an operation, u64 to u64, 10 k entries; written by benches/instructions.sh --write."
        echo "# $(rustc --version | cut -d' ' -f1,2), $(rustc -vV | sed -n 's/^host: //p')"
        cat "$scratch/now"
    } >"$BASELINE"
    cat "$BASELINE"
    exit
fi

sed -n '2s/^# /baseline: /p' "$BASELINE"
echo "now:      $(rustc --version | cut -d' ' -f1,2), $(rustc -vV | sed -n 's/^host: //p')"
awk -v limit="$LIMIT" -v slack="$SLACK" '
    /^#/ { next }
    FNR == NR { base[$1] = $2; next }
    !($1 in base) { printf "%-16s %8.1f  no baseline\n", $1, $2; bad = 1; next }
    {
        grown = 100 * ($2 / base[$1] - 1)
        verdict = grown > limit && $2 - base[$1] > slack ? "  MORE THAN " limit " %" : ""
        if (verdict != "") bad = 1
        printf "%-16s %8.1f  %8.1f  %+.1f %%%s\n", $1, base[$1], $2, grown, verdict
        seen[$1] = 1
    }
    END {
        for (q in base) if (!(q in seen)) { printf "%-16s not measured\n", q; bad = 1 }
        exit bad
    }' "$BASELINE" "$scratch/now"
