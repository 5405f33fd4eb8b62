#!/usr/bin/env bash
# Looks in a release build for instructions that stayed calls: BINARY (target/release/lucid). A kernel's code has the
# instructions of its level only where it was inlined into the function that enables them (docs/23-lanes-and-threads.md).
# What was not, calls a function for each instruction, and is ten times as slow, with the same results, so no test sees it.
set -euo pipefail
binary=${1:-target/release/lucid}
if ! command -v objdump >/dev/null; then
    echo "SKIPPED looking for calls in $binary: objdump (binutils) is missing"
    exit 0
fi
# A function of the standard library that takes a closure counts where a function of Lucid calls it.
calls=$(objdump -d --no-show-raw-insn "$binary" | awk '
    /^[0-9a-f]+ </ { sub(/^[0-9a-f]+ /, ""); caller = $0; next }
    !/\t(call|jmp|bl|b) / { next }
    { callee = substr($0, index($0, "<")) ":" }
    callee ~ /core_arch/ { instructions[caller] = callee; next }
    caller ~ /lucid/ { from_lucid[callee] = 1 }
    END { for (f in instructions) if (f ~ /lucid/ || f in from_lucid) print f, instructions[f] }')
if [ -n "$calls" ]; then
    printf '%s\n' "$calls" | head -20
    echo "FAILED: these functions of $binary call instructions instead of having them: write each! for array::map and from_fn, and a loop for a closure"
    exit 1
fi
echo "no instruction of a kernel in $binary is a call"
