#!/usr/bin/env bash
# Public clients of the APIs (tests/clients), unchanged, against `sluice serve` with the demonstration model on loopback. Needs a
# Release build of Sluice.Cli, Node 20 or later and npm; where Node, npm or the packages cannot be had it says so and is no failure.
set -uo pipefail
cd "$(dirname "$0")/.."
clients=tests/clients

skip() {
  echo "skipped: $1"
  exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "node or npm is not installed"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "node $(node --version) is older than 20"
(cd "$clients" && npm ci --no-progress --ignore-scripts --loglevel=error) || skip "the packages cannot be installed"

# What the model answers is known in float32; a model this small may ramble where a forced answer leads it off, and where it does is chance.
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
log=$(mktemp)
dotnet run --no-build -c Release --project src/Sluice.Cli -- serve --activations float32 --host 127.0.0.1 --port "$port" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$log"' EXIT
export SLUICE_URL="http://127.0.0.1:$port"
for _ in $(seq 300); do
  node -e 'fetch(process.env.SLUICE_URL + "/v1/models").then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))' && break
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$log"
    echo "the server has ended"
    exit 1
  fi
  sleep 0.2
done

(cd "$clients" && npm test --silent)
