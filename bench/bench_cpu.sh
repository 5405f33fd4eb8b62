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

usage() {
    echo "bench_cpu.sh: $1" >&2
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
}
[ $# -eq 2 ] || usage "two arguments are needed, MODEL and PROMPT; there are $#"
export MODEL=$1 PROMPT=$2 N_TOKENS=${N_TOKENS:-32} THREADS=${THREADS:-}
runs=${RUNS:-5} enforce=${ENFORCE_MIN_SPEEDUP:-0} least=${MIN_SPEEDUP:-1.0}
positive() { # NAME VALUE
    case $2 in
        '' | *[!0-9]* | 0*) usage "$1 is '$2': it must be a number from 1 on" ;;
    esac
}
positive N_TOKENS "$N_TOKENS"
positive RUNS "$runs"
[ -z "$THREADS" ] || positive THREADS "$THREADS"
[[ $least =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage "MIN_SPEEDUP is '$least': it must be a number such as 1.5"
[[ $enforce =~ ^[01]$ ]] || usage "ENFORCE_MIN_SPEEDUP is '$enforce': it must be 0 or 1"
[ -z "$MODEL" ] || [ -e "$MODEL" ] || [[ $MODEL == hf:* ]] || usage "$MODEL: there is no such file or folder"

here=$(cd "$(dirname "$0")/.." && pwd)
lucid=${LUCID_BIN:-}
if [ -z "$lucid" ]; then
    (cd "$here" && cargo build --release --quiet --package lucid-cli)
    lucid=${CARGO_TARGET_DIR:-$here/target}/release/lucid
fi
command -v "$lucid" >/dev/null || usage "$lucid: there is no such program (LUCID_BIN)"

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
        echo "bench_cpu.sh: this command failed: $([ "$1" = a ] && echo "${run[*]}" || echo "$baseline")" >&2
        cat "$work/$1.err" >&2
        exit 1
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
    cmp -s "$work/a.out" "$work/text" || { echo "bench_cpu.sh: A did not write the same text as before" >&2; exit 1; }
    if [ -z "${BASELINE_CMD:-}" ] && ! cmp -s "$work/b.out" "$work/text"; then
        echo "bench_cpu.sh: LUCID_LEVEL=scalar did not write the same text" >&2
        exit 1
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
    echo "bench_cpu.sh: a speed-up of $speedup is below MIN_SPEEDUP, $least" >&2
    exit 1
fi
