#!/bin/bash
# Runs the contract of mailers, and what else mailer.real.test.ts holds, on a real mail server that is started for it
# and stopped after it.
#
#   contract-tests/real-smtp/run.sh [vitest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
parent=$(mktemp -d)
chmod 755 "$parent"
trap '"$here/stop.sh" "$parent/server"; rm -rf "$parent"' EXIT
PORTSIDE_TEST_SMTP_URL=$("$here/start.sh" "$parent/server" "${PORTSIDE_TEST_SMTP_PORT:-2525}")
PORTSIDE_TEST_SMTP_DIRECTORY=$parent/server
export PORTSIDE_TEST_SMTP_URL PORTSIDE_TEST_SMTP_DIRECTORY
cd "$here/../.."
npx vitest run --config contract-tests/real-smtp/vitest.config.ts "$@"
