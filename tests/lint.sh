#!/bin/sh
# lint.sh BUILD: form. Each file is as clang-format (.clang-format) writes it; no function breaks the limits of .clang-tidy;
# scripts pass shellcheck. BUILD holds compile_commands.json of a build with clang.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
git ls-files 'runtime/*.c' 'apps/*.c' | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$1" 2>/dev/null
git ls-files '*.sh' run .ci/run | xargs shellcheck
long=$(git ls-files '*.c' '*.h' '*.comp' '*.glsl' | xargs grep -nE '^.{121,}$' || true)
[ -z "$long" ] || { printf 'over 120 columns:\n%s\n' "$long" >&2; exit 1; }
