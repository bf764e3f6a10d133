#!/usr/bin/env bash
# Tests of Sluice.Cpu and golden tests of the demonstration model on Arm64, emulated by QEMU, on each processor named (default: max, which has dot products, and
# cortex-a53, which has not), and the bits of all operations beside this machine's. A quarter of an hour for each on two cores. Needs x86-64 Linux 6.7 or later,
# qemu-user-static, and apt-get of a distribution that has packages for arm64; where something cannot be had it says so and is no failure. What it keeps is in .cache and artifacts.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/.cache/arm64

skip() {
  echo "skipped: $1"
  exit 0
}

# In a user namespace of its own, programs for Arm64 start like any other there, those that tests start too; nothing is registered on the machine itself.
# Code that .NET writes through a second mapping the emulator would not notice.
emulated() { # processor, command...
  QEMU_CPU=$1 QEMU_LD_PREFIX=$work/root DOTNET_EnableWriteXorExecute=0 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
    unshare --user --map-root-user --mount bash -c '
      mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
        printf "%s" ":arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$0:F" >/proc/sys/fs/binfmt_misc/register &&
        exec "$@"' "$qemu" "${@:2}"
}

[ "$(uname -sm)" = "Linux x86_64" ] || skip "not on x86-64 Linux"
qemu=$(command -v qemu-aarch64-static) || skip "qemu-user-static is not installed"
command -v apt-get >/dev/null || skip "there is no apt-get to fetch the C library with"
emulated max true || skip "binfmt_misc cannot be mounted in a user namespace"

# What .NET needs of the system, with lists and a cache of packages that are not the machine's.
if [ ! -e "$work/unpacked" ]; then
  mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/root"
  : >"$work/apt/status"
  apt() { apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt" "$@"; }
  { apt update && apt install --download-only --no-install-recommends -y libstdc++6 zlib1g openssl; } || skip "arm64 packages cannot be fetched"
  for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/root" || exit 1; done
  [ -e "$work/root/lib" ] || ln -s usr/lib "$work/root/lib"
  : >"$work/unpacked"
fi

publish() { # project
  dotnet publish -c Release -r linux-arm64 --self-contained -v quiet -p:RunAnalyzers=false -p:ArtifactsPath="$work/artifacts" \
    -p:RestorePackagesWithLockFile=false -p:NuGetLockFilePath="$work/none" "tests/$1" -o "$work/$1"
}

publish Sluice.Cpu.Tests && publish Sluice.Tests.Golden && dotnet build -c Release -v quiet -p:RunAnalyzers=false tests/Sluice.Cpu.Tests || exit 1
rm -f "$work/native"
bits=(-noColor -method "*.OperationTests.Digest")
SLUICE_CPU_DISABLE=amx SLUICE_CPU_DIGEST=$work/native artifacts/bin/Sluice.Cpu.Tests/release/Sluice.Cpu.Tests "${bits[@]}" >/dev/null || exit 1

failed=0
check() { # what, command...
  "${@:2}" && echo "-- $1: ok" && return
  echo "-- $1: FAILED"
  failed=$((failed + 1))
}

same_bits() { # processor
  rm -f "$work/emulated"
  SLUICE_CPU_DIGEST=$work/emulated emulated "$1" "$work/Sluice.Cpu.Tests/Sluice.Cpu.Tests" "${bits[@]}" >/dev/null || return 1
  echo "$(head -n 1 "$work/native"): $(tail -n 1 "$work/native")"
  echo "$(head -n 1 "$work/emulated"): $(tail -n 1 "$work/emulated")"
  tail -n 1 "$work/native" | grep -Eqi '[0-9a-f]{64}' && [ "$(tail -n 1 "$work/native")" = "$(tail -n 1 "$work/emulated")" ]
}

[ $# -gt 0 ] || set -- max cortex-a53
for processor in "$@"; do
  echo "== $processor"
  check "bits" same_bits "$processor"
  check "tests of Sluice.Cpu" emulated "$processor" "$work/Sluice.Cpu.Tests/Sluice.Cpu.Tests" -noColor
  check "golden tests" emulated "$processor" "$work/Sluice.Tests.Golden/Sluice.Tests.Golden" -noColor -class "*.DemoGreedyTests" -class "*.PackedWeightsTests"
done

[ "$failed" -eq 0 ]
