#!/bin/sh
# vendor_lab.sh [arm64]: the device tests on the drivers of the vendor lab, where this checkout has one beside it: the newest
# lavapipe and SwiftShader run them; the vendors' shader compilers create every pipeline. Mali's and PowerVR's compilers
# run on arm64 alone, under emulation, some five minutes each: only when asked for, with gcc-aarch64-linux-gnu.
set -eu
cd "$(dirname "$0")/.."
lab=${TUFF_VENDOR_LAB:-../shared/tools/vendor-lab}

if [ ! -x "$lab" ]; then
  echo "vendor lab: skipped, there is none at $lab"
  exit 0
fi
lab=$(cd "$(dirname "$lab")" && pwd)/$(basename "$lab")
labs=${VENDOR_LAB:-$HOME/.cache/vendor-lab}
if ! "$lab" list | grep -q '^lavapipe .*ready'; then
  echo "vendor lab: skipped, it is not set up ($lab setup)"
  exit 0
fi

# in_lab DEVICE COMMAND...: the lab mounts this folder inside itself, at the same path, and leaves it there; a checkout
# deleted and made anew would be shown the deleted one. So each run has its mounts to itself, without what others left.
in_lab() {
  # shellcheck disable=SC2016
  unshare --mount sh -ec 'labs=$1; shift
    for root in "$labs"/*; do while mountpoint -q "$root$PWD"; do umount -l "$root$PWD"; done; done
    exec "$@"' sh "$labs" "$lab" run "$@"
}

# make_pipelines ARCHITECTURE COMMAND
make_pipelines() {
  for device in $("$lab" list | awk -v arch="$1" '$2 == "compile" && $3 == arch && $4 == "ready" { print $1 }'); do
    printf '%s: ' "$device"
    in_lab "$device" "$2" kernels --device vulkan:0 --quiet
  done
}

printf '\n== building in the vendor lab, with its newer compiler and glslang\n'
in_lab lavapipe sh -ec 'cmake -S . -B build/lab -G Ninja -DCMAKE_BUILD_TYPE=Release -DTUFF_TESTS=ON \
  -DTUFF_TESTS_REQUIRE_VULKAN=ON >/dev/null; cmake --build build/lab'
# SwiftShader compiles slowly: what looks at the host's side of Vulkan alone is left to the other drivers.
for device in lavapipe swiftshader; do
  printf '\n== testing on %s of the vendor lab\n' "$device"
  leave_out=none
  [ "$device" != swiftshader ] || leave_out='discrete|validation'
  in_lab "$device" ctest --test-dir build/lab --output-on-failure --no-tests=error --timeout 900 -j "$(nproc)" \
    -L vulkan -LE "$leave_out"
done
printf '\n== translating every module for Metal, as MoltenVK does\n'
# shellcheck disable=SC2016
in_lab lavapipe sh -ec 'for module in build/lab/shaders/*.spv; do spirv-cross --msl "$module" >/dev/null; done'
printf '\n== creating every pipeline with the vendors'"'"' shader compilers\n'
make_pipelines amd64 build/lab/tuff
if [ "${1:-}" = arm64 ]; then # built here, by a cross compiler: under emulation that takes a quarter of an hour
  libraries=$labs/arm64/usr/lib/aarch64-linux-gnu
  cmake -S . -B build/lab-arm64 -G Ninja -DCMAKE_BUILD_TYPE=Release -DTUFF_TESTS=OFF -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc \
    -DTUFF_cJSON_LIBRARY="$libraries/libcjson.so" -DTUFF_utf8proc_LIBRARY="$libraries/libutf8proc.so" \
    -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined >/dev/null
  cmake --build build/lab-arm64 --target tuff_command
  make_pipelines arm64 build/lab-arm64/tuff
else
  echo "mali-g610 and powervr-bxs: not asked for (tests/vendor_lab.sh arm64)"
fi
