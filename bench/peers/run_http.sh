#!/bin/sh
# run_http.sh OUTDIR [CONNS [SECONDS]]: each HTTP server in turn under wrk; one
# line of key=value per server. PIN=1 as in run_echo.sh.
set -u
bin=$1
conns=${2:-50}
secs=${3:-3}
port=${PORT:-18000}
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
default='http_epoll @ 1
http_epoll @ 2
http_tokio_min @ 0
http_tokio_min @ 2
http_smol_min @ 0
http_smol_min @ 2
http_hyper @ 0
http_hyper @ 2
http_go @ 1
http_go @ 2'
echo "${SERVERS:-$default}" | while read -r prog args; do
    [ -x "$bin/$prog" ] || continue
    port=$((port + 1))
    args=$(echo "$args" | sed "s/@/$port/")
    label=$prog$(echo "$args" | sed "s/^$port//; s/ /-/g")
    server=''
    load=''
    if [ "${PIN-}" = 1 ]; then
        case $label in
            *-2) ;;
            *) server="taskset -c 0" load="taskset -c 1" ;;
        esac
    fi
    # shellcheck disable=SC2086
    $server timeout 120 "$bin/$prog" $args &
    pid=$!
    sleep 0.3
    srv=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
    srv=${srv%% *}
    srv=${srv:-$pid}
    reply=$(curl -s --max-time 2 "http://127.0.0.1:$port/" </dev/null)
    if [ "$reply" != 'Hello, World!' ]; then
        echo "name=$label FAILED: wrong reply"
    else
        # user and system ticks of the server
        c0=$(cut -d' ' -f14,15 "/proc/$srv/stat")
        # shellcheck disable=SC2086
        $load wrk --latency -t 1 -c "$conns" -d "${secs}s" "http://127.0.0.1:$port/" </dev/null >"$tmp"
        c1=$(cut -d' ' -f14,15 "/proc/$srv/stat")
        awk -v n="$label" -v c="$conns" -v cpu="$c0 $c1" -v hz="$(getconf CLK_TCK)" '
                $2 == "requests" { total = $1 }
                /Requests\/sec/ { r = $2 }
                $1 == "50%" { a = $2 } $1 == "90%" { b = $2 } $1 == "99%" { d = $2 }
                /Socket errors|Non-2xx/ { e = " " $0 }
                END {
                    split(cpu, t, " ")
                    us = total ? (t[3] + t[4] - t[1] - t[2]) / hz * 1e6 / total : 0
                    printf "name=%s conns=%s req_per_s=%.0f p50=%s p90=%s p99=%s srv_cpu_us_per_req=%.2f%s\n", \
                        n, c, r, a, b, d, us, e
                }' "$tmp"
    fi
    kill "$pid"
    wait "$pid" 2>/dev/null
done
