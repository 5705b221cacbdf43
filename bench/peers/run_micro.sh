#!/bin/sh
# run_micro.sh OUTDIR [SCALE [BENCH...]]: every micro benchmark of every peer,
# each in a process of its own. SCALE multiplies the operation counts.
set -u
bin=$1
scale=${2:-1}
shift
[ $# -eq 0 ] || shift
only=$*
limit=${LIMIT:-120}

wanted() {
    [ -z "$only" ] && return 0
    for w in $only; do
        [ "$w" = "$1" ] && return 0
    done
    return 1
}

# each PROG ARGS...: ARGS come before the benchmark's name
each() {
    prog=$1
    shift
    [ -x "$bin/$prog" ] || return 0
    for b in $("$bin/$prog" "$@" list); do
        wanted "$b" || continue
        timeout "$limit" "$bin/$prog" "$@" "$b" "$scale" ||
            echo "bench=$b peer=$prog${1:+-$1} status=$?"
    done
}

each micro_tokio 0
each micro_tokio 2
each micro_smol_local
each micro_smol
each micro_async_std
each micro_go 1
each micro_go 2
each micro_libuv
