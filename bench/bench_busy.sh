#!/usr/bin/env bash
# What is left of the speed where others use the processor, and where there are far too many threads?
#
#   bench/bench_busy.sh MODEL
#
# Runs `lucid bench MODEL -p N_PROMPT -n N_GEN -r 1` in turns in three ways:
#
#   idle    one thread for each core, and nobody else, one hopes: run this on a quiet machine
#   busy    the same while one process for each core does nothing but count
#   many    four threads for each core, and nobody else
#
# Each round has a share, busy / idle and many / idle, for the prompt and for generation; the medians of the rounds' shares are
# the result. A way that ends with other logits than the first run is an error. An empty MODEL ("") is the built-in one.
# Environment:
#
#   RUNS                    rounds (5)
#   N_PROMPT, N_GEN         tokens (128, 32)
#   LUCID_BIN               the program (a release build of this checkout, which is made first)
#
# Needs bash, awk and nproc. Exit codes: 0 done, 1 failed, 2 wrong usage.
set -euo pipefail
. "$(dirname "$0")/../scripts/lucid.sh"

[ $# -eq 1 ] || usage "one argument is needed, MODEL; there are $#"
model=$1 runs=${RUNS:-5} n_prompt=${N_PROMPT:-128} n_gen=${N_GEN:-32}
number RUNS "$runs" 1
number N_PROMPT "$n_prompt" 1
number N_GEN "$n_gen" 1
model "$model"

lucid=$(program)

work=$(mktemp -d)
counters=()
quiet() {
    [ ${#counters[@]} = 0 ] || kill "${counters[@]}" 2>/dev/null || true
    [ ${#counters[@]} = 0 ] || wait "${counters[@]}" 2>/dev/null || true
    counters=()
}
trap 'quiet; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cores=$(nproc)
bench=("$lucid" bench)
[ -z "$model" ] || bench+=("$model")
bench+=(-p "$n_prompt" -n "$n_gen" -r 1 -o json)

measured() { # THREADS: "prompt generation", in tokens per second
    "${bench[@]}" --threads "$1" >"$work/json" 2>"$work/err" || { cat "$work/err" >&2; fail "${bench[*]} failed"; }
    sed -n 's/.*"digest": "\([0-9a-f]*\)".*/\1/p' "$work/json" >"$work/digests"
    [ -e "$work/first" ] || cp "$work/digests" "$work/first"
    cmp -s "$work/digests" "$work/first" || fail "the logits are not those of the first run"
    sed -n 's/.*"avg_ts": \([0-9.e+-]*\),.*/\1/p' "$work/json" | tr '\n' ' '
}

printf '%s\n%s cores; tokens per second of a prompt of %s (pp) and of %s generated (tg)\n\n' "${bench[*]}" "$cores" "$n_prompt" "$n_gen"
measured "$cores" >"$work/warm"
printf '%-8s%8s%12s%12s%8s%12s%8s\n' round test idle busy share many share
: >"$work/shares"
for i in $(seq "$runs"); do
    idle=$(measured "$cores")
    for _ in $(seq "$cores"); do
        sh -c 'while :; do :; done' &
        counters+=($!)
    done
    busy=$(measured "$cores")
    quiet
    many=$(measured $((4 * cores)))
    echo "$idle $busy $many" | awk -v i="$i" -v shares="$work/shares" '{
        for (t = 1; t <= 2; t++) {
            name = t == 1 ? "pp" : "tg"
            printf "%-8s%8s%12.1f%12.1f%8.2f%12.1f%8.2f\n", i, name, $t, $(t + 2), $(t + 2) / $t, $(t + 4), $(t + 4) / $t
            print name, $(t + 2) / $t, $(t + 4) / $t >>shares
        }
    }'
done

median() { # TEST COLUMN: of the shares
    awk -v t="$1" -v c="$2" '$1 == t { print $c }' "$work/shares" | sort -n |
        awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
echo
for t in pp tg; do
    printf '%s: %s of the idle speed beside a busy process on each core, %s with four threads for each core (medians of %s rounds)\n' \
        "$t" "$(median $t 2)" "$(median $t 3)" "$runs"
done
