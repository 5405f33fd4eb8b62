#!/usr/bin/env bash
# Does the same request give the same text, and the same memory, however often it is made?
#
#   scripts/soak.sh MODEL PROMPT
#
# Two ways, because they find different faults:
#
#   1. ITERATIONS processes (`lucid run`): each must write the same ids and text. What is not set at the start of a process,
#      what depends on addresses or on which thread was first, shows here.
#   2. ITERATIONS answers of one process (`lucid chat`, whose template here is the bare prompt, so that any model will do; each
#      answer after the first is a /regenerate). Each answer must be the same text, although the cache is used again and
#      again. And the resident memory after each answer may exceed that after the first, by when all weights have been
#      read, by at most MAX_RSS_GROWTH_KB. A leak shows only here: a process that ends returns everything.
#
# Generation is greedy. An empty MODEL ("") is the built-in one. Environment:
#
#   ITERATIONS         20, at least 2
#   MAX_RSS_GROWTH_KB  262144
#   N_TOKENS           tokens to generate each time (64)
#   THREADS            threads of Lucid (its own default)
#   LUCID_BIN          the program (a release build of this checkout, which is made first)
#
# Needs bash, awk and mkfifo, and ps where there is no /proc. Exit codes: 0 all held, 1 something did not, 2 wrong usage.
set -euo pipefail
. "$(dirname "$0")/lucid.sh"

[ $# -eq 2 ] || usage "two arguments are needed, MODEL and PROMPT; there are $#"
model=$1 prompt=$2 n=${ITERATIONS:-20} most=${MAX_RSS_GROWTH_KB:-262144} tokens=${N_TOKENS:-64} threads=${THREADS:-}
number ITERATIONS "$n" 2
number MAX_RSS_GROWTH_KB "$most" 0
number N_TOKENS "$tokens" 1
[ -z "$threads" ] || number THREADS "$threads" 1
model "$model"
[[ $prompt == *[![:space:]]* && $prompt != *'"""'* ]] || usage 'PROMPT must not be blank, nor hold """'

lucid=$(program)

work=$(mktemp -d)
chat=
trap 'if [ -n "$chat" ]; then kill "$chat" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
common=(-n "$tokens" -t 0)
[ -z "$threads" ] || common+=(--threads "$threads")
[ -z "$model" ] || common=("$model" "${common[@]}")

echo "$n processes:"
for i in $(seq "$n"); do
    "$lucid" run "${common[@]}" -p "$prompt" --json >"$work/run.json" 2>"$work/err" || { cat "$work/err" >&2; fail "lucid run failed"; }
    # all but the times and the memory
    sed 's/"timings":{[^}]*},"memory_bytes":[0-9a-z]*//' "$work/run.json" >"$work/run.$i"
    sed -n 's/.*"memory_bytes":\([0-9]*\).*/\1/p' "$work/run.json" >>"$work/peaks"
    cmp -s "$work/run.1" "$work/run.$i" || fail "process $i wrote something else than process 1"
done
echo "  all wrote the same $(grep -o '"generated":[0-9]*' "$work/run.1" | cut -d: -f2) tokens"
if [ -s "$work/peaks" ]; then
    sort -n "$work/peaks" | awk '{ v[NR] = $1 / 1024 } END { printf "  peak of resident memory: %d to %d kB\n", v[1], v[NR] }'
fi

resident() { # kB of the chat
    if [ -r "/proc/$chat/status" ]; then
        awk '/^VmRSS:/ { print $2 }' "/proc/$chat/status"
    else
        ps -o rss= -p "$chat" | tr -d ' '
    fi
}

echo "$n answers of one process:"
# a template is a file's text; this one adds nothing to the message
printf '%s' '{{ messages[-1].content }}' >"$work/bare.jinja"
mkfifo "$work/in"
"$lucid" chat "${common[@]}" --template "$work/bare.jinja" <"$work/in" >"$work/out" 2>"$work/err" &
chat=$!
exec 3>"$work/in"
trap '' PIPE # should it end early, the loop says so
printf '"""\n%s\n"""\n' "$prompt" >&3 || true
first=0 largest=0
for i in $(seq "$n"); do
    [ "$i" = 1 ] || echo /regenerate >&3 2>/dev/null || true
    # the file appears when the answer is complete
    echo "/save $work/answer.$i" >&3 2>/dev/null || true
    until [ -s "$work/answer.$i" ]; do
        kill -0 "$chat" 2>/dev/null || { cat "$work/err" >&2; fail "lucid chat ended before answer $i"; }
        sleep 0.02
    done
    kb=$(resident)
    [ -n "$kb" ] || fail "the system does not tell the memory of lucid chat"
    [ "$i" != 1 ] || first=$kb
    [ "$kb" -le "$largest" ] || largest=$kb
done
exec 3>&-
wait "$chat" || { chat=; cat "$work/err" >&2; fail "lucid chat failed"; }
chat=
for i in $(seq "$n"); do
    cmp -s "$work/answer.1" "$work/answer.$i" || fail "answer $i differs from answer 1"
done
echo "  all are the same text"
echo "  resident memory: $first kB after the first, at most $largest kB later, $((largest - first)) kB more (allowed: $most)"
[ $((largest - first)) -le "$most" ] || fail "it grew by $((largest - first)) kB, and MAX_RSS_GROWTH_KB is $most"
