#!/bin/sh
# lint.sh BUILD: form. Each file is as clang-format (.clang-format) writes it, but tables, which are laid out by hand; no
# function breaks the limits of .clang-tidy; no line has more than 120 columns; the environment is touched only where
# CONTRIBUTING.md says; scripts pass shellcheck. BUILD holds compile_commands.json of a build with clang.
set -eu
cd "$(dirname "$0")/.."
files='git ls-files -co --exclude-standard' # new files too
tables='unicode_tables\.[ch]|bench_cases\.c|tests/ops/'

$files '*.c' '*.h' | grep -vE "$tables" | xargs clang-format --dry-run --Werror
$files 'runtime/*.c' 'apps/*.c' | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$1" 2>/dev/null
$files '*.sh' run .ci/run | xargs shellcheck
long=$($files '*.c' '*.h' '*.comp' '*.glsl' | grep -vE "$tables" | LC_ALL=C.UTF-8 xargs grep -nE '^.{121,}$' || true)
[ -z "$long" ] || { printf 'over 120 columns:\n%s\n' "$long" >&2; exit 1; }
strays=$(git grep -nE '\b(getenv|setenv|putenv|unsetenv)\b' -- runtime apps ':!runtime/env.c' ':!runtime/os_*.c' || true)
[ -z "$strays" ] || { printf 'the environment, outside env.c and os_*.c:\n%s\n' "$strays" >&2; exit 1; }
echo "form: as it should be"
