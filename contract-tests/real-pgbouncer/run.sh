#!/bin/bash
# Runs the contract of SQL databases, and what else pgbouncer.real.test.ts holds, through a real PgBouncer: the one that
# is installed, else Debian's package, unpacked by anyone, which changes nothing of the system. Where neither can be had
# the tests say that they were not run.
#
#   contract-tests/real-pgbouncer/run.sh [vitest arguments]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
parent=$(mktemp -d)
trap 'rm -rf "$parent"' EXIT
if ! PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null; then
  code=0
  root=$(npx node "$here/unpack.setup.ts") || code=$?
  if ((code == 3)); then
    echo 'not run: there is no pgbouncer, and its package cannot be had'
  elif ((code != 0)); then
    exit "$code"
  else
    # As root it runs as an account that may not look into the cache. Nobody else needs the libraries that go with it.
    chmod 755 "$parent"
    mkdir "$parent"/{bin,lib}
    cp "$root/usr/sbin/pgbouncer" "$parent/lib/"
    find "$root" -name 'lib*.so*' -exec cp -P -t "$parent/lib" {} +
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$parent/lib" "$parent/lib/pgbouncer" >"$parent/bin/pgbouncer"
    chmod 755 "$parent/bin/pgbouncer"
    export PATH=$parent/bin:$PATH
  fi
fi
npx vitest run --config contract-tests/real-pgbouncer/vitest.config.ts "$@"
