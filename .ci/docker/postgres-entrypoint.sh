#!/bin/bash
# The entry point of the image postgres, with the interface of the official one: what it documents of its variables,
# and scripts in /docker-entrypoint-initdb.d that run once, before anyone else can connect.
set -euo pipefail
case ${1:-} in -*) set -- postgres "$@" ;; esac
[[ $1 = postgres ]] || exec "$@"
# What only asks the program about itself needs no data.
for argument; do case $argument in --help | -'?' | --version | -V | --describe-config) exec "$@" ;; esac; done
if [[ $(id -u) = 0 ]]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi

given() { # NAME DEFAULT
  local file=$1_FILE
  if [[ ${!1:-} && ${!file:-} ]]; then echo "only one of $1 and $file may be set" >&2; exit 1; fi
  if [[ ${!file:-} ]]; then cat "${!file}"; else echo "${!1:-$2}"; fi
}

if [[ ! -s $PGDATA/PG_VERSION ]]; then
  user=$(given POSTGRES_USER postgres)
  database=$(given POSTGRES_DB "$user")
  password=$(given POSTGRES_PASSWORD '')
  arguments=$(given POSTGRES_INITDB_ARGS '')
  method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [[ ! $password && $method != trust ]]; then
    echo 'the superuser has no password: set POSTGRES_PASSWORD' >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  eval "initdb --username=\"\$user\" --pwfile=<(echo \"\$password\") $arguments"
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  # Until the scripts are done no one can connect but by a socket.
  PGPASSWORD=$password
  export PGPASSWORD
  pg_ctl -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
  query=(psql -v ON_ERROR_STOP=1 --no-psqlrc --host=/tmp --username="$user")
  [[ $database = postgres ]] ||
    "${query[@]}" --dbname=postgres -v "name=$database" <<<'create database :"name"'
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) if [[ -x $script ]]; then "$script"; else . "$script"; fi ;;
      *.sql) "${query[@]}" --dbname="$database" --file="$script" ;;
      *.sql.gz) gunzip -c "$script" | "${query[@]}" --dbname="$database" ;;
    esac
  done
  pg_ctl -m fast -w stop
  unset PGPASSWORD
fi
unset POSTGRES_PASSWORD
exec "$@" -c unix_socket_directories=/tmp
