#!/bin/bash
# Runs clients by others, unmodified, on the emulators. Nothing is installed: what is missing is said, and fails.
#
#   contract-tests/clients/run.sh [vitest arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for program in aws:awscli rclone:rclone s3cmd:s3cmd python3:python3 swaks:swaks; do
  [[ -x /usr/bin/${program%%:*} ]] || missing+=("${program##*:}")
done
/usr/bin/python3 -c 'import boto3' 2>/dev/null || missing+=(python3-boto3)
perl -MNet::SSLeay -e1 2>/dev/null || missing+=(libnet-ssleay-perl)
if ((${#missing[@]} > 0)); then
  echo "run.sh: missing; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

npx vitest run --config contract-tests/clients/vitest.config.ts "$@"
