# Sourced by .ci/run and tests/run: runs a named part, says what it took, and stops at the first that fails.

part() {
    local name=$1 began=$SECONDS
    shift
    printf '=== %s: %s\n' "$name" "$*"
    if "$@"; then
        printf -- '--- %s passed in %d s\n' "$name" $((SECONDS - began))
    else
        local code=$?
        printf -- '--- %s FAILED after %d s\n' "$name" $((SECONDS - began))
        exit "$code"
    fi
}
