# Sourced by .ci/run and tests/run: runs a named part, prints what it took, and stops at the first that fails.
# The outermost script prints the time of all parts in one table, also when a part failed.

if [ -z "${PUMPHANDLE_PART_TIMES:-}" ]; then
    PUMPHANDLE_PART_TIMES=$(mktemp)
    export PUMPHANDLE_PART_TIMES
    parts_outermost=1
fi

part() {
    local name=$1 began=$SECONDS code=0
    shift
    printf '=== %s: %s\n' "$name" "$*"
    "$@" || code=$?
    printf '%s\t%d\n' "$name" $((SECONDS - began)) >>"$PUMPHANDLE_PART_TIMES"
    if [ "$code" = 0 ]; then
        printf -- '--- %s passed in %d s\n' "$name" $((SECONDS - began))
    else
        printf -- '--- %s FAILED after %d s\n' "$name" $((SECONDS - began))
        parts_report
        exit "$code"
    fi
}

# The table of times, by the outermost script only: one that another calls is a part of that one.
parts_report() {
    [ -n "${parts_outermost:-}" ] || return 0
    printf '=== time of each part\n'
    awk -F'\t' '{ printf "%6d s  %s\n", $2, $1 }' "$PUMPHANDLE_PART_TIMES"
    printf '%6d s  all\n' "$SECONDS"
    rm -f "$PUMPHANDLE_PART_TIMES"
}
