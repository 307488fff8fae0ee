# Sourced: a ClickHouse for the tests.
#   clickhouse_start   sets and exports CLICKHOUSE_URL, unless it is set; what it started ends with the shell
#   clickhouse_stop    ends it before that
# The server in docker where there is a daemon, else the engine of the Python package chdb-core behind tests/clickhouse_http.py.
# The package is fetched once in any case: tests of faults kill and restart engines of their own.

CLICKHOUSE_IMAGE=${CLICKHOUSE_IMAGE:-clickhouse/clickhouse-server:25.8}
CLICKHOUSE_PACKAGE=${CLICKHOUSE_PACKAGE:-chdb-core==26.9.*}
clickhouse_parts=${CARGO_TARGET_DIR:-$PWD/target}/parts
clickhouse_pid=
clickhouse_container=

# A part that isn't there fails only where it must not be missing.
clickhouse_absent() {
    if [ -n "${CI:-}" ] || [ "${PUMPHANDLE_REQUIRE_PARTS:-}" = 1 ]; then
        echo "error: $1" >&2
        return 1
    fi
    echo "skipped: $1" >&2
}

clickhouse_package() {
    [ -d "$clickhouse_parts/clickhouse/chdb" ] && return
    mkdir -p "$clickhouse_parts"
    # Into a folder beside it first, so that a download cut short isn't taken for the package.
    rm -rf "$clickhouse_parts/clickhouse.part" "$clickhouse_parts/clickhouse"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$clickhouse_parts/clickhouse.part" "$CLICKHOUSE_PACKAGE" &&
        mv "$clickhouse_parts/clickhouse.part" "$clickhouse_parts/clickhouse"
}

clickhouse_docker() {
    command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1 || return 1
    local port=
    clickhouse_container=$(docker run --detach --rm --publish 127.0.0.1::8123 --env CLICKHOUSE_USER=default \
        --env CLICKHOUSE_PASSWORD=tests --env CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT=1 "$CLICKHOUSE_IMAGE") || return 1
    port=$(docker port "$clickhouse_container" 8123/tcp | head -n 1 | sed 's/.*://')
    CLICKHOUSE_URL=http://127.0.0.1:$port
    export CLICKHOUSE_USER=default CLICKHOUSE_PASSWORD=tests
    local tries=0
    until curl --silent --fail "$CLICKHOUSE_URL/ping" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 120 ] || ! docker inspect "$clickhouse_container" >/dev/null 2>&1; then
            clickhouse_stop
            return 1
        fi
        sleep 0.5
    done
}

clickhouse_engine() {
    local ready=$clickhouse_parts/clickhouse.ready.$$
    rm -f "$ready"
    mkfifo "$ready" || return 1
    PYTHONPATH=$clickhouse_parts/clickhouse python3 tests/clickhouse_http.py --port 0 --exit-with-parent >"$ready" &
    clickhouse_pid=$!
    # The one line that it says, or the end of what it says where it can't start.
    local line=
    read -r line <"$ready" || true
    rm -f "$ready"
    case $line in
        ready\ *) CLICKHOUSE_URL=$(echo "$line" | cut -d ' ' -f 2) ;;
        *) clickhouse_stop; return 1 ;;
    esac
}

clickhouse_stop() {
    if [ -n "$clickhouse_pid" ]; then
        kill "$clickhouse_pid" 2>/dev/null || true
        wait "$clickhouse_pid" 2>/dev/null || true
        clickhouse_pid=
    fi
    if [ -n "$clickhouse_container" ]; then
        docker rm --force "$clickhouse_container" >/dev/null 2>&1 || true
        clickhouse_container=
    fi
}

# Adds to what the shell does at its end, and keeps its exit code.
clickhouse_start() {
    if [ -n "${CLICKHOUSE_URL:-}" ]; then
        echo "ClickHouse at $CLICKHOUSE_URL" >&2
        return
    fi
    clickhouse_package || { clickhouse_absent "no ClickHouse engine: python3 -m pip couldn't install $CLICKHOUSE_PACKAGE"; return; }
    local before
    before=$(trap -p EXIT | sed "s/^trap -- '//; s/' EXIT\$//")
    # shellcheck disable=SC2064 # what was set before is put in now
    trap "clickhouse_stop; ${before:-:}" EXIT
    clickhouse_docker || clickhouse_engine || { clickhouse_absent "the ClickHouse engine didn't start"; return; }
    export CLICKHOUSE_URL
    echo "ClickHouse at $CLICKHOUSE_URL" >&2
}
