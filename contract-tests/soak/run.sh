#!/bin/bash
# Random commands on every subject that has a model or a twin, side by side with it, until the time is over: what `npm
# test` does in a bounded slice. A failure is shrunk and says how to replay it.
#
#   contract-tests/soak/run.sh [minutes] [vitest arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PORTSIDE_SOAK_MINUTES=${1:-30}
shift || true
npx vitest run --config contract-tests/soak/vitest.config.ts --reporter=verbose "$@"
