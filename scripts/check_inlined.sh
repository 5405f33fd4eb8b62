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
    !/\t(callq?|jmpq?|bl|b) / { next }
    { callee = substr($0, index($0, "<")) ":" }
    caller ~ /lucid_kernels/ { from_lucid[callee] = found = 1 }
    callee ~ /core_arch/ { instructions[caller] = callee }
    END {
        if (!found) print "no function of lucid_kernels is named in it: is it stripped?"
        for (f in instructions) if ((f ~ /lucid/ || f in from_lucid) && n++ < 20) print f, instructions[f]
    }')
if [ -n "$calls" ]; then
    printf '%s\n' "$calls"
    echo "FAILED: $binary calls instructions instead of having them: write each! for array::map and from_fn, a loop for a closure"
    exit 1
fi
echo "no instruction of a kernel in $binary is a call"
