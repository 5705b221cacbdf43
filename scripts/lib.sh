# Shared by the scripts: progress lines and the installation of Debian packages. Sourced, not run.

say() { printf '== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# need COMMAND-OR-FILE PACKAGE...: notes the packages when a command, or a file with an absolute path, is missing.
missing_packages=()
need() {
    local what=$1
    shift
    case $what in
    /*) [ -e "$what" ] && return ;;
    *) command -v "$what" >/dev/null 2>&1 && return ;;
    esac
    missing_packages+=("$@")
}

# need_package PACKAGE...: for what leaves neither a command nor a file at a fixed place.
need_package() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            missing_packages+=("$package")
    done
}

# Installs what was noted, as root or through sudo. Nothing noted: nothing done, not even an update.
install_missing() {
    [ ${#missing_packages[@]} -gt 0 ] || return 0
    local as_root=()
    command -v apt-get >/dev/null 2>&1 || die "install these by hand: ${missing_packages[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || die "be root or have sudo to install: ${missing_packages[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing_packages[*]}"
    # Another apt-get may be at work: wait for its lock. Only a failure shows apt's own output.
    local log
    log=$(mktemp)
    if ! {
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -q update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 \
                -q -y --no-install-recommends install "${missing_packages[@]}"
    } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        die 'the installation failed'
    fi
    rm -f "$log"
    missing_packages=()
}
