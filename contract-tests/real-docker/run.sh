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

# With 3 each has said why it cannot be; then the tests are counted as skipped.
code=0
engine=$("$docker/start.sh" "$parent/engine") || code=$?
if ((code == 0)); then
  export DOCKER_HOST=$engine
  # Only an engine of our own is given images of our own: another's tags are the official images.
  [[ ! -f $parent/engine/.portside-docker ]] || "$docker/images.sh" || code=$?
fi
# For the tests of the exported Compose file, which else are skipped.
if ((code == 0)) && [[ $(id -u) = 0 ]] && ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-compose >/dev/null 2>&1 ||
    echo 'apt-get could not install docker-compose' >&2
fi
case $code in
  0) export PORTSIDE_TEST_DOCKER=required ;;
  3) unset DOCKER_HOST ;;
  *) exit "$code" ;;
esac
cd "$here/../.."
npx vitest run --config contract-tests/real-docker/vitest.config.ts "$@"
