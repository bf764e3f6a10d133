#!/usr/bin/env bash
# Every CUDA kernel compiled to PTX by clang, for the default shapes and for those of small models: no GPU and no CUDA installation needed, since
# kernels include no CUDA headers. Needs clang 19 or later; where apt can install it, it is installed, otherwise this says so and is no failure.
set -uo pipefail
cd "$(dirname "$0")/../src/Sluice.Cuda/Kernels"

newest() {
  local name
  for name in clang++-22 clang++-21 clang++-20 clang++-19 clang++; do
    command -v "$name" >/dev/null || continue
    [ "$("$name" -dumpversion | cut -d. -f1)" -ge 19 ] && echo "$name" && return
  done
}

clang=$(newest)
if [ -z "$clang" ] && command -v apt-get >/dev/null; then
  root=$([ "$(id -u)" -eq 0 ] || echo "sudo -n")
  { $root apt-get update -qq && $root apt-get install -y -qq clang-19; } >/dev/null 2>&1
  clang=$(newest)
fi
if [ -z "$clang" ]; then
  echo "skipped: clang 19 or later is not installed"
  exit 0
fi

# Macros of small models, by file; kernels take those they know.
small="-DHEAD_DIM=32 -DGROUP=2 -DROTARY_DIM=8 -DKEY_HEADS=2 -DVALUE_HEADS=4 -DEXPERTS=6 -DTOP_K=3 -DHIDDEN=64"
failed=0
compile() { # file, macros
  # shellcheck disable=SC2086
  "$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_90a -nocudainc -nocudalib -O2 -std=c++20 -Wall -Werror -Wno-pass-failed -S -o /dev/null -I . $2 "$1" && return
  echo "$1 $2: does not compile"
  failed=$((failed + 1))
}

count=0
for file in *.cu; do
  compile "$file" ""
  case $file in
    experts.cu | gated_delta_rule_chunks.cu | gated_delta_rule_scan.cu) ;; # their shapes are tied to each other
    gated_delta_net_decode.cu) compile "$file" "-DKEY_HEADS=2 -DVALUE_HEADS=4 -DKEY_DIM=32 -DVALUE_DIM=32 -DCOLUMNS=32 -DWARPS=4" ;;
    route.cu)
      compile "$file" "$small"
      compile "$file" "-DWARPS=8 -DCHUNK=64" # few rows
      compile "$file" "-DEXPERTS=1024 -DTOP_K=32 -DNORMALISE=0"
      ;;
    *) compile "$file" "$small" ;;
  esac
  count=$((count + 1))
done
echo "$count kernels' files compiled by $clang, $failed failures"
[ "$failed" -eq 0 ]
