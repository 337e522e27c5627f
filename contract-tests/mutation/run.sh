#!/bin/bash
# Changes fakes and adapters in thousands of small ways and runs the contracts on each: what no behaviour notices, the
# contracts do not hold. Takes an hour or more; on a copy, so that the checkout stays as it is.
#
#   contract-tests/mutation/run.sh [file or glob to change]...
#
# Writes contract-tests/mutation/results.json; with arguments it only prints.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents -t "$work"
cd "$work"
npm ci --no-progress --no-audit --no-fund
# vitest is the checkout's own.
npm ci --no-progress --no-audit --no-fund --legacy-peer-deps --prefix contract-tests/mutation
npm run build
chosen=()
for file in "$@"; do chosen+=(--mutate "$file"); done
npx node contract-tests/mutation/node_modules/@stryker-mutator/core/bin/stryker.js run \
  contract-tests/mutation/stryker.config.json "${chosen[@]}"
if [ $# = 0 ]; then set -- "$here/results.json"; else set --; fi
npx node contract-tests/mutation/score.ts mutation.json "$@"
