#!/usr/bin/env bash
# Compile times, binary size and the code that generics and formats become: numbers of docs/19-rust.md.
#
#   scripts/measure_build.sh [ROUNDS]       needs cargo with the dependencies fetched, and nm and strip of binutils
#
# Builds in a folder of its own, so that nothing is warm that should be cold. The steps take turns ROUNDS times (3), and
# each line gives medians and ranges: of the seconds that passed, which a busy machine stretches, and of the processor's.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="$work/target" CARGO_NET_OFFLINE=true
TIMEFORMAT='%R %U %S'

timed() { # LABEL COMMAND…: runs it and notes its times under the label
    local label=$1
    shift
    { time "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; } 2>>"$work/$label"
}

build=(cargo build --release -j2 -p lucid --example journey)
for _ in $(seq "$rounds"); do
    rm -rf "$CARGO_TARGET_DIR"
    timed "1 check, cold" cargo check -j2 -p lucid
    touch crates/lucid/src/ops.rs
    timed "2 check, after a change to lucid" cargo check -j2 -p lucid
    rm -rf "$CARGO_TARGET_DIR"
    timed "3 release, cold" "${build[@]}"
    touch crates/lucid/src/ops.rs
    timed "4 release, after a change to lucid" "${build[@]}"
    touch crates/lucid-kernels/src/formats.rs
    timed "5 release, after a change to lucid-kernels" "${build[@]}"
    timed "6 release, nothing to do" "${build[@]}"
done

spread() { # numbers, one a line, as `median (smallest–largest)`
    sort -n | awk '{ t[NR] = $1 } END { printf "%.1f (%.1f–%.1f)", t[int((NR + 1) / 2)], t[1], t[NR] }'
}
echo "| step, -j2 | seconds, median of $rounds (range) | processor seconds |"
echo "|---|---:|---:|"
for file in "$work"/[1-6]\ *; do
    name=$(basename "$file")
    echo "| ${name:2} | $(cut -d' ' -f1 "$file" | spread) | $(awk '{ print $2 + $3 }' "$file" | spread) |"
done

binary="$CARGO_TARGET_DIR/release/examples/journey"
# Address, size, kind, name; where the compiler gave several functions one body, it counts once.
nm -S -C "$binary" | grep -iE '^[0-9a-f]+ [0-9a-f]+ t ' | sort -u -k1,1 >"$work/symbols"
cp "$binary" "$work/stripped"
strip "$work/stripped"
code() { # LABEL PATTERN: how many functions have such a name, and their bytes together
    local n=0 bytes=0 size
    while read -r _ size _; do
        n=$((n + 1)) bytes=$((bytes + 16#$size))
    done < <(grep -E "$2" "$work/symbols" || true)
    echo "| $1 | $n | $bytes |"
}

echo
echo "| the binary of the example \`journey\` | functions | bytes |"
echo "|---|---:|---:|"
echo "| with line tables | | $(wc -c <"$binary") |"
echo "| stripped | | $(wc -c <"$work/stripped") |"
code 'all functions' '.'
code '`Format::decode`: the one match over all formats, small decoders inlined' ' lucid_kernels::formats::Format::decode$'
code 'decoders of single formats beside it' 'formats::Block>::decode$'
code '`Ctx`: the typed face of the backend' ' lucid::ops::Ctx'
code 'of these `linear`, once per pair of axes' ' lucid::ops::Ctx<.*>::linear'
code '`Llama`: load, forward' ' lucid::models::llama::Llama<'
