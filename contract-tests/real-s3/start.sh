#!/bin/bash
# Starts a real S3 server (Ceph's RADOS gateway, from Debian's packages) on loopback, with one bucket to test in.
#
#   start.sh DIRECTORY [PORT]
#
# DIRECTORY holds everything, and stop.sh removes it. It must not exist, or be what a server that was killed left.
# Uses PORT for S3 and the 19 ports after it for the store behind; by default the first of such a row that is free.
# Prints the service URL that object-storage.real.test.ts takes.
# Where the packages are missing they are installed, if this is root; else, or with PORTSIDE_REAL_S3_UNPACK=1, they are
# unpacked into PORTSIDE_REAL_S3_CACHE (default ~/.cache/portside/ceph-rgw) and nothing of the system is changed.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset CEPH_CONF CEPH_ARGS CEPH_KEYRING LD_LIBRARY_PATH || true

directory=${1:?usage: start.sh DIRECTORY [PORT]}
port=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
access_key=PORTSIDETESTKEY00001
secret_key=loopback/tests+only0000000000000000000001
bucket=portside-tests
packages=(ceph-mon ceph-osd radosgw curl)
programs=(ceph-mon ceph-osd radosgw radosgw-admin monmaptool osdmaptool curl)

fail() { echo "start.sh: $*" >&2; exit 1; }

missing() { for program in "${programs[@]}"; do command -v "$program" >/dev/null || return 0; done; return 1; }

install_packages() {
  local quiet=(-o Dpkg::Use-Pty=0 -o Acquire::Retries=2 -qq)
  apt-get "${quiet[@]}" update
  # policy-rc.d: the packages must not start daemons of their own.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; fi
  local code=0
  DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y --no-install-recommends "${packages[@]}" || code=$?
  [[ ! $made ]] || rm -f $policy
  return $code
}

# With lists and archives of its own apt needs no right. What the system has already is not fetched again.
unpack_packages() { # ROOT
  local root=$1 work archive
  mkdir -p "$(dirname "$root")"
  work=$(mktemp -d "$root.XXXXXX")
  mkdir -p "$work"/{lists,archives}/partial "$work/root"
  cat >"$work/apt.conf" <<CONF
Dir::State::Lists "$work/lists";
Dir::Cache "$work";
Dir::Cache::Archives "$work/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::Retries "2";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
  export APT_CONFIG=$work/apt.conf
  if apt-get -qq update && apt-get -qq install -y --no-install-recommends --download-only "${packages[@]}"; then
    for archive in "$work"/archives/*.deb; do dpkg -x "$archive" "$work/root" || break; done
    # Whole or not at all: another start may be at the same.
    [[ -x $work/root/usr/bin/radosgw ]] && mv -T "$work/root" "$root" 2>/dev/null || true
  fi
  unset APT_CONFIG
  rm -rf "$work"
  [[ -d $root ]]
}

root=
if missing; then
  if [[ $(id -u) = 0 && ! ${PORTSIDE_REAL_S3_UNPACK:-} ]]; then
    install_packages >&2 || fail "apt-get could not install ${packages[*]}; is there a network?"
  else
    root=${PORTSIDE_REAL_S3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portside/ceph-rgw}
    [[ -d $root ]] || unpack_packages "$root" >&2 ||
      fail "apt-get could not fetch ${packages[*]}; is there a network? Or as root: apt-get install ${packages[*]}"
    export PATH=$root/usr/sbin:$root/usr/bin:$PATH
  fi
  hash -r
  ! missing || fail "the packages ${packages[*]} did not bring all of: ${programs[*]}"
fi
# Where the plugins and the libraries of unpacked packages are.
libraries=$root/usr/lib/$(uname -m)-linux-gnu
[[ ! $root ]] || export LD_LIBRARY_PATH=$libraries:$libraries/ceph:$root/lib/$(uname -m)-linux-gnu

if [[ -e $directory ]]; then
  if [[ -f $directory/.portside-real-s3 ]]; then
    ! "$here/stop.sh" --running "$directory" || fail "a server runs in $directory; end it with stop.sh"
    "$here/stop.sh" "$directory"
  else
    rmdir "$directory" 2>/dev/null || fail "$directory exists"
  fi
fi

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
if [[ $port ]]; then
  for taken in "$port" $((port + 1)); do is_free "$taken" || fail "port $taken is taken"; done
else
  # Not the same row each time: two that start at once would both find it free.
  for _ in $(seq 50); do
    port=$((17480 + 20 * (RANDOM % 600)))
    is_free "$port" && is_free $((port + 1)) && break
  done
fi

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
mkdir "$directory"/{mon,osd,rgw,run,log}
touch "$directory/.portside-real-s3"
started=
trap '[[ $started ]] || { tail -n 5 "$directory"/log/*.err >&2 2>/dev/null || true; "$here/stop.sh" "$directory"; }' EXIT

cat >"$directory/ceph.conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$((port + 1))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
ms bind port min = $((port + 2))
ms bind port max = $((port + 19))
# One machine, nothing to keep: no passwords between the daemons. The gateway would ask for encryption, which does
# not go without them, so every mode is set to plain checksums.
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
keyring = $directory/keyring
run dir = $directory/run
crash dir = $directory/log
pid file =
admin socket =
log to file = false
mon cluster log to file = false
err to stderr = true
# A single copy of everything in one place.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[mon]
mon data = $directory/mon
mon allow pool size one = true
mon max pg per osd = 10000
# A nearly full disk of the machine must not stop the store.
mon data avail crit = 0
mon data avail warn = 0
# Agree at once instead of waiting for more to agree on: this is what makes the start quick.
paxos propose interval = 0.02
paxos min wait = 0.01

[osd]
osd data = $directory/osd
osd objectstore = bluestore
bluestore block size = 4294967296
bluestore block create = true
bluestore block preallocate file = false
bluestore block wal create = false
bluestore block db create = false
bluestore cache autotune = false
bluestore cache size = 67108864
osd memory target = 939524096
osd crush update on start = false
osd class update on start = false
osd class load list = *
osd class default list = *
osd op num shards = 1
# Keys of 1 024 bytes become longer names in the store.
osd max object name len = 2048
osd max object namespace len = 256
osd heartbeat grace = 3600
osd fast shutdown = true

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw data = $directory/rgw
rgw num control oids = 1
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw run sync thread = false
rgw data log num shards = 1
rgw md log max shards = 1
rgw gc max objs = 1
rgw lc max objs = 1
rgw usage max shards = 1
rgw objexp hints num shards = 1
rgw crypt require ssl = false
CONF
if [[ $root ]]; then
  cat >>"$directory/ceph.conf" <<CONF

[global]
plugin dir = $libraries/ceph
erasure code dir = $libraries/ceph/erasure-code
osd class dir = $libraries/rados-classes
CONF
fi

launch() { # NAME COMMAND...
  local name=$1
  shift
  setsid "$@" </dev/null >"$directory/log/$name.out" 2>"$directory/log/$name.err" &
  echo $! >"$directory/run/$name.pid"
}
ceph() { local program=$1; shift; "$program" -c "$directory/ceph.conf" --no-mon-config "$@"; }

cd "$directory"
fsid=$(sed -n 's/^fsid = //p' ceph.conf)
monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$((port + 1))]" monmap >/dev/null
osdmaptool --createsimple 1 osdmap >/dev/null 2>&1
ceph ceph-mon --mkfs -i a --monmap monmap --osdmap osdmap >log/mkfs.err 2>&1
launch mon ceph-mon -c "$directory/ceph.conf" --no-mon-config -f -i a
ceph ceph-osd -i 0 --mkfs --osd-uuid "$(cat /proc/sys/kernel/random/uuid)" >>log/mkfs.err 2>&1
launch osd ceph-osd -c "$directory/ceph.conf" --no-mon-config -f -i 0
ceph radosgw-admin -n client.rgw user create --uid=portside --display-name=portside \
  --access-key="$access_key" --secret-key="$secret_key" >/dev/null 2>log/admin.err
launch rgw radosgw -c "$directory/ceph.conf" --no-mon-config -f -n client.rgw

# Ready is when a bucket can be made with our key, not when the port is open.
empty_sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
for attempt in $(seq 300); do
  code=$(curl -s -o log/bucket.xml -w '%{http_code}' --noproxy '*' -m 5 -X PUT --aws-sigv4 aws:amz:us-east-1:s3 \
    -H "x-amz-content-sha256: $empty_sha256" --user "$access_key:$secret_key" "http://127.0.0.1:$port/$bucket" || true)
  [[ $code != 200 ]] || break
  for name in mon osd rgw; do kill -0 "$(cat "run/$name.pid")" 2>/dev/null || fail "$name died"; done
  [[ $attempt != 300 ]] || fail "the server was not ready in time (last answer $code)"
  sleep 0.1
done

# For evidence: which server this is.
echo "ceph-rgw $(radosgw --version | sed -n 's/^ceph version \([0-9.]*[0-9]\).*/\1/p')" >product
started=1
escape() { sed 's,/,%2F,g; s,+,%2B,g' <<<"$1"; }
echo "s3://$access_key:$(escape "$secret_key")@$bucket?region=us-east-1&endpoint=http://127.0.0.1:$port&pathStyle=true&checksums=when-required&lacks=put-if-match,conditional-stream,copy-if-match&partSizeBytes=5242880"
