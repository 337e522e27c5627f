#!/bin/bash
# Changes fakes and adapters in thousands of small ways and runs the contract of their port on each: what no behaviour
# notices, the contract does not hold. Takes an hour or more for all; on a copy, so that the checkout stays as it is.
#
#   contract-tests/mutation/run.sh [port]...          (all ports, where none is named)
#   contract-tests/mutation/run.sh key-value-store
#
# Of each port a sample is taken (`share_of`), the same one for the same code; more of it, or another, with
#
#   PORTSIDE_MUTATION_SAMPLE=1 PORTSIDE_MUTATION_SEED=2 contract-tests/mutation/run.sh mailer
#
# Lists what was not noticed, and writes the score of each port to contract-tests/mutation/results.json.
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

# What is changed, by port. Saving a fake, where its bytes are kept, and the servers and URLs of adapters, have tests of
# their own: no port shows them.
files_of() {
  local files
  case $1 in
    sql-database) files=(adapters/postgres/{copy,errors,queries,session,sql-database,transaction,values}.ts) ;;
    key-value-store) files=(adapters/redis/{errors,key-value-store}.ts) ;;
    object-storage)
      files=(fakes/object-storage.ts fakes/object-storage/{bucket,etags}.ts)
      files+=(adapters/s3/{answers,errors,object-storage,upload}.ts)
      ;;
    mailer) files=(fakes/mailer.ts adapters/smtp/{errors,mailer}.ts) ;;
    social-publisher) files=(fakes/social-publisher.ts adapters/x/{errors,social-publisher}.ts) ;;
    *) echo "there is no port $1" >&2; exit 2 ;;
  esac
  # Stryker splits at commas, also inside braces.
  (IFS=,; echo "${files[*]}")
}

# Which part of the possible changes is made: few where a contract takes long.
share_of() {
  case $1 in
    social-publisher) echo 0.4 ;;
    mailer) echo 0.25 ;;
    key-value-store) echo 0.3 ;;
    object-storage) echo 0.1 ;;
    sql-database) echo 0.08 ;;
  esac
}

[ $# -gt 0 ] || set -- sql-database key-value-store object-storage mailer social-publisher
asked=${PORTSIDE_MUTATION_SAMPLE:-}
failed=0
for port in "$@"; do
  files=$(files_of "$port")
  share=${asked:-$(share_of "$port")}
  export PORTSIDE_MUTATED_PORT=$port PORTSIDE_MUTATION_SAMPLE=$share
  rm -f mutation.json
  # What ends one port's run, such as a contract that does not hold unchanged, is no reason to leave out the others.
  nice -n 10 npx node contract-tests/mutation/node_modules/@stryker-mutator/core/bin/stryker.js \
    run contract-tests/mutation/stryker.config.json --mutate "$files" --concurrency "${CONCURRENCY:-2}" || true
  if [ -f mutation.json ]; then
    npx node contract-tests/mutation/score.ts "$port" mutation.json "$here/results.json" || failed=1
  else
    echo "$port: not judged, see above" >&2
    failed=1
  fi
done
exit "$failed"
