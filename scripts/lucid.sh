# What the measuring scripts share; they source it. $0 is the script, whose head is its manual.

usage() {
    echo "$(basename "$0"): $1" >&2
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
}
fail() {
    echo "$(basename "$0"): $1" >&2
    exit 1
}
number() { # NAME VALUE LEAST
    case $2 in
        '' | *[!0-9]*) usage "$1 is '$2': it must be a number" ;;
    esac
    [ "$2" -ge "$3" ] || usage "$1 is $2: it must be at least $3"
}
model() { # MODEL: there, a name of the hub, or the built-in one
    [ -z "$1" ] || [ -e "$1" ] || [[ $1 == hf:* ]] || usage "$1: there is no such file or folder"
}
program() { # prints LUCID_BIN, or a release build of this checkout, made first
    local lucid=${LUCID_BIN:-} here
    if [ -z "$lucid" ]; then
        here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
        (cd "$here" && cargo build --release --quiet --package lucid-cli) ||
            fail "Lucid could not be built; LUCID_BIN can name a program that has been"
        lucid=${CARGO_TARGET_DIR:-$here/target}/release/lucid
    fi
    command -v "$lucid" >/dev/null || usage "$lucid: there is no such program (LUCID_BIN)"
    echo "$lucid"
}
