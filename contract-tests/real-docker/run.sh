#!/bin/bash
# Runs the contracts of the datastores, and what containers.docker.test.ts holds, on servers in containers. Uses the
# engine that is there, which pulls the official images; where there is none and this is root, installs Debian's
# docker.io, starts an engine of its own with images built here (no registry is needed), and ends it afterwards. Where
# that cannot be the tests say that they were not run.
#
#   contract-tests/real-docker/run.sh [vitest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docker=$here/../../.ci/docker
parent=$(mktemp -d)
end() { "$docker/stop.sh" "$parent/engine"; rm -rf --one-file-system "$parent"; }
trap end EXIT
# A script that is killed runs no trap: this one sees that it is gone, and cleans up instead.
setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; "$2" "$3/engine"; rm -rf --one-file-system "$3"' \
  watch $$ "$docker/stop.sh" "$parent" </dev/null >/dev/null 2>&1 &
code=0
DOCKER_HOST=$("$docker/start.sh" "$parent/engine") || code=$?
((code == 0 || code == 3)) || exit "$code"
# With 3 it has said why there is none; then the tests are counted as skipped.
if ((code == 0)); then
  export DOCKER_HOST PORTSIDE_TEST_DOCKER=required
  # Only an engine of our own is given images of our own: another's tags are the official images.
  [[ ! -f $parent/engine/.portside-docker ]] || "$docker/images.sh"
fi
cd "$here/../.."
npx vitest run --config contract-tests/real-docker/vitest.config.ts "$@"
