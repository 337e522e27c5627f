#!/bin/bash
# Runs the contract of object storage, and what else object-storage.real.test.ts holds, on a real S3 server that is
# started for it and stopped after it. PORTSIDE_TEST_S3_PORT names the first of its 20 ports.
#
#   contract-tests/real-s3/run.sh [vitest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
parent=$(mktemp -d)
end() { "$here/stop.sh" "$parent/server"; rm -rf "$parent"; }
trap end EXIT
# A script that is killed runs no trap: this one sees that it is gone, and cleans up instead.
setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; "$2" "$3/server"; rm -rf "$3"' \
  watch $$ "$here/stop.sh" "$parent" </dev/null >/dev/null 2>&1 &
PORTSIDE_TEST_S3_URL=$("$here/start.sh" "$parent/server" ${PORTSIDE_TEST_S3_PORT:+"$PORTSIDE_TEST_S3_PORT"})
PORTSIDE_TEST_S3_SERVER=ceph-rgw@$(radosgw --version | sed -E 's/^ceph version ([0-9.]+).*/\1/')
export PORTSIDE_TEST_S3_URL PORTSIDE_TEST_S3_SERVER
cd "$here/../.."
npx vitest run --config contract-tests/real-s3/vitest.config.ts "$@"
