#!/usr/bin/env bash
# How many cache lines an operation reads and writes, and how many of them it must get from another processor, as that
# one wrote them last, or take from it, to write them: what is shared shows without more than one. Two threads, by turns,
# with keys of their own; traced by lackey, a tool of valgrind, u64 to u64, 1,000 entries, while time stands still. Caches
# are taken for boundless.
#
# Fails when a read needs a line of the other, or a write more than one.
#
#   benches/lines.sh [COUNT]     operations a thread, 600 if not given; the first half is not counted
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly COUNT=${1:-600}

command -v valgrind >/dev/null || { echo 'SKIPPED: no valgrind'; exit 77; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

program=$(cargo bench --no-run --bench lines --message-format=json 2>"$scratch/build" \
    | sed -n 's/.*"name":"lines".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1) || true
[[ -x $program ]] || { cat "$scratch/build"; echo 'FAILED: no program'; exit 1; }

printf '%-12s %12s %15s %18s\n' 'an operation' 'reads lines' 'writes lines' "of the other's"
bad=0
while read -r question; do
    # What is loaded (L), stored (S) or both (M): "address,size", eight digits at least. The program's own lines have none of that.
    valgrind --tool=lackey --trace-mem=yes --log-fd=9 "$program" "$question" "$COUNT" 9>&1 >"$scratch/marks" \
        | grep '^ [LSM] ' >"$scratch/trace"
    awk -v question="$question" -v count="$COUNT" '
        # Once an operation, though it loads the line and stores to it.
        function gets(line) { if (gotten[line] != operation) { gotten[line] = operation; got += is_counted } }
        FNR == NR { start = $1; end = $2; next }
        { sub(/,.*/, "", $2); sub(/^0+/, "", $2) }
        # A mark is loaded and stored at once.
        $2 == start && $1 == "L" { next }
        $2 == start { inside = 1; operation++; me = operation % 2; is_counted = operation > count; next }
        $2 == end { inside = 0; next }
        !inside { next }
        {
            # The address without its last six bits.
            digits = length($2)
            line = substr($2, 1, digits - 2) int((index("0123456789abcdef", substr($2, digits - 1, 1)) - 1) / 4)
            # Who has a valid copy: bit 0, bit 1, or both as 3.
            mine = me + 1; theirs = 2 - me
            if ($1 == "L") {
                if (valid[line] == theirs) {
                    if (dirty[line]) gets(line)
                    valid[line] = 3; dirty[line] = 0
                }
                if (!valid[line]) valid[line] = mine
                if (read[line] != operation) { read[line] = operation; reads += is_counted }
            } else {
                if (valid[line] == theirs || valid[line] == 3) gets(line)
                valid[line] = mine; dirty[line] = 1
                if (written[line] != operation) { written[line] = operation; writes += is_counted }
            }
        }
        END {
            if (operation != 2 * count) { print question ": " operation " marks" > "/dev/stderr"; exit 2 }
            printf "%-12s %12.1f %15.1f %18.2f\n", question, reads / count, writes / count, got / count
            exit (got / count > (question == "hit" || question == "miss" ? 0 : 1))
        }' "$scratch/marks" "$scratch/trace" || { echo "FAILED: $question: too much is shared"; bad=1; }
done < <("$program")
exit $bad
