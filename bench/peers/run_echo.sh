#!/bin/sh
# run_echo.sh OUTDIR [CONNS [SECONDS [PAYLOAD [DEPTH]]]]: each echo server in
# turn under the load generator; one line of key=value per server.
#
# SERVERS="echo_epoll 'echo_tokio 2'" limits the list: one server per line,
# @ stands for the port. PIN=1 puts one-threaded servers on CPU 0 and the load
# generator on CPU 1; the two-threaded ones are never pinned.
set -u
bin=$1
conns=${2:-50}
secs=${3:-3}
payload=${4:-64}
depth=${5:-1}
port=${PORT:-17000}
default='echo_epoll @ 1
echo_epoll @ 2
echo_uring @ 1 multishot
echo_uring @ 1 plain
echo_uring @ 2 multishot
echo_libuv @
echo_asio @
echo_tokio @ 0
echo_tokio @ 2
echo_smol_local @
echo_smol @ 2
echo_async_std @ 2
echo_go @ 1
echo_go @ 2'
echo "${SERVERS:-$default}" | while read -r prog args; do
    [ -x "$bin/$prog" ] || continue
    port=$((port + 1))
    args=$(echo "$args" | sed "s/@/$port/")
    label=$prog$(echo "$args" | sed "s/^$port//; s/ /-/g")
    server=''
    load=''
    if [ "${PIN-}" = 1 ]; then
        load="taskset -c 1"
        case $label in
            *-2*|echo_smol-*|echo_async_std*) ;;
            *) server="taskset -c 0" ;;
        esac
        [ -n "$server" ] || load=
    fi
    # shellcheck disable=SC2086
    $server timeout 120 "$bin/$prog" $args &
    pid=$!
    # timeout and taskset leave the server itself as the last child
    sleep 0.3
    srv=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    srv=${srv%% *}
    # shellcheck disable=SC2086
    $load timeout 120 "$bin/echoload" 127.0.0.1 $port "$conns" "$secs" "$payload" "$depth" \
        --pid "${srv:-$pid}" --label "$label" </dev/null || echo "name=$label FAILED"
    kill "$pid"
    wait "$pid" 2>/dev/null
done
