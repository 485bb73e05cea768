#!/usr/bin/env bash
# Breaks the crate in one place at a time (mutants.txt) and demands that the model named for it goes red, which is
# green while nothing is broken.
#
#   loom_tests/mutants.sh           all mutants
#   loom_tests/mutants.sh --quick   those marked quick
#   loom_tests/mutants.sh REGEX     those whose name it matches
#   loom_tests/mutants.sh --list    what there is; run nothing, but see that the sources still have what is to be broken
#
# Builds in a copy, so the sources stay as they are; dependencies are kept in CARGO_TARGET_DIR/mutants.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
list=$here/mutants.txt
filter=${1:-}
limit=${MUTANT_TIMEOUT:-300}
unset LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS LOOM_MAX_PREEMPTIONS MODEL_BOUND
export RUSTFLAGS="--cfg ttl_loom ${RUSTFLAGS:-}"
# Compiled anew for each mutant, in a fifth of the time.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0
# A directory that nothing else builds in: cargo tells builds of the same package apart by their sources' times alone,
# wherever they stand, and would take a mutant for the crate.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}/mutants

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../src" "$work/src"
mkdir -p "$work/crate/loom_tests"
cp "$here"/*.rs "$here"/Cargo.* "$work/crate/loom_tests"

# What a model says when it finds a bug, and nothing else: loom's words, an assertion's, a signal's.
reason='Causality violation|panicked at|deadlock; threads|exceeded maximum number of branches|SIGSEGV|SIGABRT|SIGILL|SIGBUS|double free|corrupted|Leaked|signal: '
failed=0 count=0
name='' file='' from='' quick='' note=''
edits=() models=()
declare -A sound=()

restore() { rm -rf "$work/crate/src"; cp -r "$work/src" "$work/crate/src"; }

die() { echo "mutants.txt: $name: $*" >&2; exit 2; }

# Replaces the one occurrence of $2 in file $1 by $3.
replace() {
    local path=$work/crate/$1 text rest
    [[ -f $path ]] || die "no file $1"
    text=$(cat "$path"; printf x)
    text=${text%x}
    rest=${text#*"$2"}
    [[ $rest != "$text" ]] || die "not found in $1: $2"
    [[ ${rest#*"$2"} == "$rest" ]] || die "found more than once in $1: $2"
    printf '%s' "${text%%"$2"*}$3$rest" >"$path"
}

# Builds what is in the copy; its models are $work/$1 then, where whoever else builds there does not get between.
build() {
    local exe
    find "$work/crate/src" -name '*.rs' -exec touch {} +
    exe=$(cd "$work/crate/loom_tests" && cargo test --quiet --release --lib --no-run --message-format=json-render-diagnostics 2>"$work/errors" |
        grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4) || { cat "$work/errors" >&2; die 'does not compile'; }
    cp "$exe" "$work/$1"
}

# Runs model $2 of the build $1; what it says goes to $work/out.
check() {
    # A subshell of its own, which says "Aborted" where it isn't seen.
    (RUST_BACKTRACE=0 timeout "$limit" "$work/$1" --exact "loom_tests::$2" --nocapture --test-threads=1; exit $?) >"$work/out" 2>&1
}

report() { printf '%-34s %-62s %5s  %s\n' "$@"; }

# Makes the edits of the mutant in the copy.
break_it() {
    local n
    restore
    for ((n = 0; n < ${#edits[@]}; n += 3)); do
        replace "${edits[n]}" "${edits[n + 1]}" "${edits[n + 2]}"
    done
}

run() {
    [[ -n $name ]] || return 0
    case $filter in
        --quick) [[ -n $quick ]] || return 0 ;;
        --list) break_it; report "$name" "${models[*]}" '' "$note"; return 0 ;;
        *) [[ $name =~ $filter ]] || return 0 ;;
    esac
    [[ ${#edits[@]} -gt 0 && ${#models[@]} -gt 0 ]] || die 'has no edit or no model'
    local model start rc why
    for model in "${models[@]}"; do
        [[ -z ${sound[$model]:-} ]] || continue
        check sound "$model" || { cat "$work/out" >&2; die "$model is red while nothing is broken"; }
        grep -q '1 passed' "$work/out" || die "no model $model"
        sound[$model]=yes
    done
    break_it
    build broken
    for model in "${models[@]}"; do
        start=$EPOCHREALTIME
        rc=0
        check broken "$model" || rc=$?
        local took=$(((${EPOCHREALTIME/./} - ${start/./}) / 100000))
        took=$((took / 10)).$((took % 10))
        count=$((count + 1))
        why=$(grep -aoE "$reason" "$work/out" | head -1) || true
        # 124 is the outer timeout, 134 and 139 abort and segmentation fault.
        if ((rc >= 132 && rc <= 139)) && [[ -z $why ]]; then why="signal $((rc - 128))"; fi
        if ((rc != 0 && rc != 124)) && [[ -n $why ]]; then
            if [[ $why == 'panicked at' ]]; then why=$(grep -aA1 'panicked at' "$work/out" | sed -n 2p | cut -c1-60); fi
            report "$name" "$model" "$took" "red: $why"
        else
            report "$name" "$model" "$took" "GREEN (exit $rc)"
            failed=$((failed + 1))
        fi
    done
}

[[ $filter == --list ]] || { restore; name='the crate as it is'; build sound; name=''; }
report mutant model seconds result
while IFS= read -r line || [[ -n $line ]]; do
    case $line in
        'mutant '*) run; name=${line#mutant }; edits=() models=() quick='' note='' file='' ;;
        'in '*) file=${line#in } ;;
        '- '*) from=${line#- } from=${from//'\n'/$'\n'} ;;
        '+') edits+=("$file" "$from" '') ;;
        '+ '*) to=${line#+ } edits+=("$file" "$from" "${to//'\n'/$'\n'}") ;;
        'red '*) models+=("${line#red }") ;;
        'why '*) note=${line#why } ;;
        quick) quick=yes ;;
        '' | '#'*) ;;
        *) die "what is this: $line" ;;
    esac
done <"$list"
run

[[ $filter == --list ]] && exit 0
echo "$count runs, $failed stayed green"
((count > 0)) || { echo "no mutant of that name" >&2; exit 2; }
((failed == 0))
