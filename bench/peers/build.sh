#!/bin/sh
# build.sh [--no-install] OUTDIR: builds every peer program into OUTDIR.
#
# Uses only what Debian packages (bookworm names) and whichever cargo comes
# first in PATH. Nothing is written beside the sources. CARGO_EXTRA holds further
# cargo arguments, such as --config patch.crates-io.tokio.path="DIR" to measure
# another version of a crate than Debian's (no blanks inside an argument).
set -eu

install=yes
if [ "${1-}" = --no-install ]; then
    install=no
    shift
fi
[ $# -eq 1 ] || { echo "usage: build.sh [--no-install] OUTDIR" >&2; exit 2; }
src=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

if [ $install = yes ]; then
    pkgs="gcc g++ libc6-dev libuv1-dev liburing-dev libasio-dev golang-go curl wrk hyperfine
        strace valgrind
        librust-tokio-dev librust-hyper-dev librust-smol-dev librust-async-executor-dev
        librust-async-channel-dev librust-async-lock-dev librust-async-std-dev
        librust-futures-dev librust-futures-lite-dev librust-socket2-dev librust-libc-dev"
    command -v cargo >/dev/null || pkgs="$pkgs cargo"
    missing=
    for p in $pkgs; do
        dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
    done
    if [ -n "$missing" ]; then
        sudo=
        [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get update -q
        # shellcheck disable=SC2086
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    fi
fi

CC=${CC:-gcc}
CXX=${CXX:-g++}
CFLAGS=${CFLAGS:--O2 -g -Wall -Wextra}
failed=

# have HEADER: is there a system header of that name?
have() {
    printf '#include <%s>\n' "$1" | $CC -E -x c - >/dev/null 2>&1
}

# try NAME COMMAND...: carry on when one program does not build
try() {
    name=$1
    shift
    if "$@"; then
        echo "built $name"
    else
        failed="$failed $name"
        echo "FAILED $name" >&2
    fi
}

# shellcheck disable=SC2086
{
    try echoload $CC $CFLAGS -o "$out/echoload" "$src/echoload.c"
    try echo_epoll $CC $CFLAGS -pthread -o "$out/echo_epoll" "$src/c/echo_epoll.c"
    try http_epoll $CC $CFLAGS -pthread -o "$out/http_epoll" "$src/c/http_epoll.c"
    try hello_c $CC $CFLAGS -o "$out/hello_c" "$src/c/hello_c.c"
    if have liburing.h; then
        try echo_uring $CC $CFLAGS -pthread -o "$out/echo_uring" "$src/c/echo_uring.c" -luring
        try file_uring $CC $CFLAGS -D_GNU_SOURCE -o "$out/file_uring" "$src/c/file_uring.c" -luring
    fi
    if have uv.h; then
        for p in echo_libuv hello_libuv micro_libuv; do
            try $p $CC $CFLAGS -o "$out/$p" "$src/c/$p.c" -luv
        done
    fi
    if command -v "$CXX" >/dev/null && [ -n "$(dpkg -L libasio-dev 2>/dev/null)" ]; then
        try echo_asio $CXX -std=c++20 -DASIO_NO_DEPRECATED $CFLAGS -pthread \
            -o "$out/echo_asio" "$src/c/echo_asio.cpp"
    fi
}

if command -v go >/dev/null; then
    mkdir -p "$out/go-cache"
    for f in "$src"/go/*.go; do
        p=$(basename "$f" .go)
        try "$p" env GOCACHE="$out/go-cache" GO111MODULE=auto CGO_ENABLED=0 \
            go build -ldflags="-s -w" -o "$out/$p" "$f"
    done
fi

# Debian keeps crates as plain directories; cargo reads them as a registry.
registry=$(dpkg -L librust-tokio-dev 2>/dev/null | sed -n 's,/tokio-[0-9.]*/Cargo.toml$,,p' | head -n 1)
if command -v cargo >/dev/null && [ -n "$registry" ]; then
    # cargo writes a lock file beside the manifest: build from a copy
    rm -rf "$out/rust-src"
    cp -Rp "$src/rust" "$out/rust-src"
    rust() {
        # shellcheck disable=SC2086
        (cd "$out/rust-src" && CARGO_TARGET_DIR="$out/rust-target" cargo build --release --offline \
            --config 'source.crates-io.replace-with="debian"' \
            --config "source.debian.directory=\"$registry\"" ${CARGO_EXTRA-})
    }
    try rust rust
    for f in "$src"/rust/src/bin/*.rs; do
        p=$(basename "$f" .rs)
        if [ -x "$out/rust-target/release/$p" ]; then
            cp "$out/rust-target/release/$p" "$out/$p"
        fi
    done
else
    failed="$failed rust"
    echo "FAILED rust: needs cargo and librust-tokio-dev" >&2
fi

if [ -n "$failed" ]; then
    echo "not built:$failed" >&2
    exit 1
fi
