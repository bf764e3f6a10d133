#!/usr/bin/env bash
# The page that `sluice serve` shows (tests/page), in headless Chromium against the demonstration model on loopback. Needs a Release build
# of Sluice.Cli, Node 20 or later, npm and Chromium (or CHROMIUM=PATH); where one cannot be had it says so and is no failure.
set -uo pipefail
cd "$(dirname "$0")/.."
page=tests/page

skip() {
  echo "skipped: $1"
  exit 0
}

command -v node >/dev/null && command -v npm >/dev/null || skip "node or npm is not installed"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "node $(node --version) is older than 20"
export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$CHROMIUM" ] || skip "Chromium is not installed"
(cd "$page" && npm ci --no-progress --ignore-scripts --loglevel=error) || skip "the packages cannot be installed"

(cd "$page" && npm test --silent)
