#!/bin/bash
# Runs the contract of object storage, and what else object-storage.real.test.ts holds, on a real S3 server that is
# started for it and stopped after it.
#
#   contract-tests/real-s3/run.sh [vitest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
parent=$(mktemp -d)
trap '"$here/stop.sh" "$parent/server"; rm -rf "$parent"' EXIT
PORTSIDE_TEST_S3_URL=$("$here/start.sh" "$parent/server" "${PORTSIDE_TEST_S3_PORT:-7480}")
export PORTSIDE_TEST_S3_URL
cd "$here/../.."
npx vitest run --config contract-tests/real-s3/vitest.config.ts "$@"
