#!/bin/bash
# Starts the server with the hashes of the passwords in its environment, where users.d asks for them; the passwords come as files.
set -euo pipefail

hash_of() {
    # As the roles read it: one line, its end left out.
    printf %s "$(cat "$1")" | sha256sum | cut -d ' ' -f 1
}

for user in writer reader analyst; do
    file=/run/secrets/clickhouse_$user
    if [ ! -s "$file" ]; then
        echo "error: no password in $file" >&2
        exit 1
    fi
done
PUMPHANDLE_WRITER_SHA256=$(hash_of /run/secrets/clickhouse_writer)
PUMPHANDLE_READER_SHA256=$(hash_of /run/secrets/clickhouse_reader)
PUMPHANDLE_ANALYST_SHA256=$(hash_of /run/secrets/clickhouse_analyst)
export PUMPHANDLE_WRITER_SHA256 PUMPHANDLE_READER_SHA256 PUMPHANDLE_ANALYST_SHA256
exec "${1:-/entrypoint.sh}"
