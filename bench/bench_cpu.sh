#!/usr/bin/env bash
# How much faster is this build than something else, on your machine and your model?
#
#   bench/bench_cpu.sh MODEL PROMPT
#
# Times `lucid run MODEL -p PROMPT -n N_TOKENS -t 0` as a whole, start and loading included, in turns with a baseline: A B A B …
# A busy machine slows both sides of a pair alike, so each pair has a ratio, and the median of the ratios is the result.
# An empty MODEL ("") is the built-in one. Environment:
#
#   N_TOKENS             tokens to generate (32)
#   RUNS                 pairs (5); one more of each comes first and does not count
#   THREADS              threads of Lucid (its own default)
#   LUCID_BIN            the program (a release build of this checkout, which is made first)
#   BASELINE_CMD         a shell command to compare with; it finds MODEL, PROMPT, N_TOKENS and THREADS in its environment.
#                        Without it, the baseline is Lucid itself with LUCID_LEVEL=scalar, which must write the same text.
#   ENFORCE_MIN_SPEEDUP  1 makes a speed-up below MIN_SPEEDUP exit 1 (0)
#   MIN_SPEEDUP          1.0
#
#   BASELINE_CMD='llama-cli -m "$MODEL" -p "$PROMPT" -n "$N_TOKENS" -no-cnv --temp 0' bench/bench_cpu.sh m.gguf "Once upon"
#
# Needs bash and awk. Exit codes: 0 done, 1 failed or too slow, 2 wrong usage.
set -euo pipefail
. "$(dirname "$0")/../scripts/lucid.sh"

[ $# -eq 2 ] || usage "two arguments are needed, MODEL and PROMPT; there are $#"
export MODEL=$1 PROMPT=$2 N_TOKENS=${N_TOKENS:-32} THREADS=${THREADS:-}
runs=${RUNS:-5} enforce=${ENFORCE_MIN_SPEEDUP:-0} least=${MIN_SPEEDUP:-1.0}
number N_TOKENS "$N_TOKENS" 1
number RUNS "$runs" 1
[ -z "$THREADS" ] || number THREADS "$THREADS" 1
[[ $least =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage "MIN_SPEEDUP is '$least': it must be a number such as 1.5"
[[ $enforce =~ ^[01]$ ]] || usage "ENFORCE_MIN_SPEEDUP is '$enforce': it must be 0 or 1"
model "$MODEL"

lucid=$(program)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run=("$lucid" run)
[ -z "$MODEL" ] || run+=("$MODEL")
run+=(-p "$PROMPT" -n "$N_TOKENS" -t 0)
[ -z "$THREADS" ] || run+=(--threads "$THREADS")

a() { "${run[@]}"; }
if [ -n "${BASELINE_CMD:-}" ]; then
    baseline=$BASELINE_CMD
    b() { bash -c "$BASELINE_CMD"; }
else
    baseline="the same with LUCID_LEVEL=scalar"
    b() { LUCID_LEVEL=scalar "${run[@]}"; }
fi

TIMEFORMAT=%R
timed() { # a|b: its seconds; what it writes stays in $work
    { time "$1" <"/dev/null" >"$work/$1.out" 2>"$work/$1.err"; } 2>"$work/time" || {
        cat "$work/$1.err" >&2
        fail "this command failed: $([ "$1" = a ] && echo "${run[*]}" || echo "$baseline")"
    }
    tr ',' '.' <"$work/time"
}

printf 'A: %s\nB: %s\n\n' "${run[*]}" "$baseline"
timed a >"$work/warm"
cp "$work/a.out" "$work/text"
timed b >"$work/warm"
printf '%-8s%10s%10s%10s\n' pair "A, s" "B, s" "B / A"
: >"$work/pairs"
for i in $(seq "$runs"); do
    seconds_a=$(timed a)
    seconds_b=$(timed b)
    cmp -s "$work/a.out" "$work/text" || fail "A did not write the same text as before"
    if [ -z "${BASELINE_CMD:-}" ] && ! cmp -s "$work/b.out" "$work/text"; then
        fail "LUCID_LEVEL=scalar did not write the same text"
    fi
    # the clock counts milliseconds: nothing takes none
    awk -v i="$i" -v a="$seconds_a" -v b="$seconds_b" -v pairs="$work/pairs" 'BEGIN {
        if (a < 0.001) a = 0.001
        if (b < 0.001) b = 0.001
        printf "%-8s%10.3f%10.3f%10.3f\n", i, a, b, b / a
        print a, b, b / a >>pairs
    }'
done

median() { # COLUMN: of the pairs
    cut -d' ' -f"$1" "$work/pairs" | sort -n | awk '{ v[NR] = $1 } END { printf "%.3f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}
speedup=$(median 3)
printf '%-8s%10s%10s%10s\n\n' median "$(median 1)" "$(median 2)" "$speedup"
echo "A is $speedup times as fast as B: the median of the ratios of $runs pairs."
if [ "$enforce" = 1 ] && awk -v s="$speedup" -v least="$least" 'BEGIN { exit !(s < least) }'; then
    fail "a speed-up of $speedup is below MIN_SPEEDUP, $least"
fi
