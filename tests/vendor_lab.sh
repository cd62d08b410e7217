#!/bin/sh
# vendor_lab.sh: the device tests on the drivers of the vendor lab, where this checkout has one beside it: the newest
# lavapipe and SwiftShader run them; the vendors' shader compilers create every pipeline.
set -eu
cd "$(dirname "$0")/.."
lab=${TUFF_VENDOR_LAB:-../shared/tools/vendor-lab}

if [ ! -x "$lab" ]; then
  echo "vendor lab: skipped, there is none at $lab"
  exit 0
fi
lab=$(cd "$(dirname "$lab")" && pwd)/$(basename "$lab")
if ! "$lab" list | grep -q '^lavapipe .*ready'; then
  echo "vendor lab: skipped, it is not set up ($lab setup)"
  exit 0
fi

printf '\n== building in the vendor lab, with its newer compiler and glslang\n'
"$lab" run lavapipe sh -ec 'cmake -S . -B build/lab -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null; cmake --build build/lab'
for device in lavapipe swiftshader; do
  printf '\n== testing on %s of the vendor lab\n' "$device"
  "$lab" run "$device" ctest --test-dir build/lab --output-on-failure --timeout 900 -L device -R vulkan0
done
printf '\n== translating every module for Metal, as MoltenVK does\n'
"$lab" run lavapipe sh -ec 'for module in build/lab/shaders/*.spv; do spirv-cross --msl "$module" >/dev/null; done'
printf '\n== creating every pipeline with the vendors'"'"' shader compilers\n'
"$lab" each compile build/lab/tuff kernels --device vulkan:0 --quiet
