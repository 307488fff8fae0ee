# Sourced: promtool, which checks the names of metrics by Prometheus' rules.
#   promtool_fetch   from Debian's package, else as a Go module

PROMTOOL_MODULE=${PROMTOOL_MODULE:-github.com/prometheus/prometheus/cmd/promtool@v0.55.1}

promtool_fetch() {
    fetch promtool prometheus
    command -v promtool >/dev/null && return
    local bin=${CARGO_TARGET_DIR:-$PWD/target}/parts/bin
    [ -x "$bin/promtool" ] || { mkdir -p "$bin" && GOBIN=$(realpath "$bin") go install "$PROMTOOL_MODULE"; } || return 1
    export PATH=$(realpath "$bin"):$PATH
}
