#!/bin/bash
# Starts a real mail server (Exim, from Debian's packages) on loopback: AUTH, STARTTLS, TLS from the start on the next
# port, and every mail it takes in a file of its own.
#
#   start.sh DIRECTORY [PORT]
#
# DIRECTORY must not exist; it holds everything, and stop.sh removes it. Uses PORT (default 2525) and the one after it.
# Prints the service URL that mailer.real.test.ts takes. Needs no root, makes no account and installs nothing: what is
# missing is downloaded and unpacked into DIRECTORY.
#
# What is to be refused is read from files in DIRECTORY/control at each command:
#   refused     lines "address: reply", for RCPT
#   size        the largest mail in bytes
#   recipients  how many recipients of one mail
#   STAGE       the reply to the next command of that stage, or "drop", which kills the process that has the connection
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

directory=${1:?usage: start.sh DIRECTORY [PORT]}
port=${2:-2525}
here=$(cd "$(dirname "$0")" && pwd)
user=shop@example.com
password='c4nary-S3cr3t/+pass'

fail() { echo "start.sh: $*" >&2; exit 1; }

[[ ! -e $directory ]] || fail "$directory exists"
for taken in "$port" $((port + 1)); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$taken") 2>/dev/null; then fail "port $taken is taken"; fi
done

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
# Its files belong to others than who looks at them where this is root.
chmod 755 "$directory"
mkdir -p "$directory/root/usr/lib"
mkdir "$directory"/{control,delivered,log,packages,run,spool}
touch "$directory/.portside-real-smtp" "$directory/control/refused"
started=
trap '[[ $started ]] || { tail -n 5 "$directory"/log/* >&2 || true; "$here/stop.sh" "$directory"; }' EXIT

# What is not installed is unpacked here. libnss-wrapper stands in for the account that the program asks for.
cd "$directory/packages"
packages() {
  apt-get install --simulate --no-install-recommends exim4-daemon-light libnss-wrapper 2>/dev/null |
    sed -nE 's/^Inst (exim4-daemon-light|lib[^ ]*) .*/\1/p'
}
wanted=$(packages)
if [[ $wanted ]]; then
  # shellcheck disable=SC2086
  apt-get download $wanted >&2 || { apt-get update >&2 && apt-get download $(packages) >&2; } ||
    fail "exim4-daemon-light and libnss-wrapper cannot be had; as root: apt-get update"
  for package in *.deb; do dpkg -x "$package" "$directory/root"; done
fi
cd "$directory"
exim=$directory/root/usr/sbin/exim4
[[ -e $exim ]] || exim=/usr/sbin/exim4
# A copy without setuid: it runs as whoever starts it.
install -m 755 "$exim" "$directory/exim"
wrapper=$(find "$directory/root" /usr/lib -name libnss_wrapper.so -print -quit)
[[ $wrapper ]] || fail "libnss_wrapper.so is missing"
libraries=$(find "$directory/root" -name 'lib*.so.*' -printf '%h:' )

# Exim refuses to work as root, so root lends it nobody's number.
uid=$(id -u) gid=$(id -g)
if [[ $uid = 0 ]]; then
  uid=65534 gid=65534
  chown -R "$uid:$gid" control delivered log run spool
fi
echo "Debian-exim:x:$uid:$gid::$directory:/bin/false" >passwd
echo "Debian-exim:x:$gid:" >group
[[ $(id -u) != 0 ]] || { echo 'root:x:0:0::/root:/bin/sh' >>passwd; echo 'root:x:0:' >>group; }

"$here/../../node_modules/.bin/node" "$here/certificate.ts" "$directory"
chmod 644 "$directory"/{cert,key}.pem

acl() { # STAGE
  cat <<ACL
acl_$1:
  defer acl = forced $1
        condition = \${if match{\$acl_c_reply}{^4}}
        message = \$acl_c_reply
  deny condition = \${if match{\$acl_c_reply}{^5}}
       message = \$acl_c_reply
ACL
}

cat >exim.conf <<CONF
exim_user = $uid
exim_group = $gid
never_users =
primary_hostname = mta.portside.invalid
spool_directory = $directory/spool
log_file_path = $directory/log/%slog
pid_file_path = $directory/run/exim.pid
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port : $((port + 1))
tls_on_connect_ports = $((port + 1))
tls_advertise_hosts = *
tls_certificate = $directory/cert.pem
tls_privatekey = $directory/key.pem
# Nothing is looked up anywhere: one of twenty questions that gets no answer holds its mail up for five seconds.
host_lookup =
helo_lookup_domains =
dns_ipv4_lookup =
rfc1413_hosts =
# Everything runs as one user and is delivered at once.
deliver_drop_privilege = true
smtp_accept_queue_per_connection = 0
smtp_accept_max = 100
smtp_accept_max_nonmail = 1000
smtp_load_reserve = 1000.0
received_header_text =
message_size_limit = \${if exists{$directory/control/size}{\${readfile{$directory/control/size}{}}}{60M}}
acl_smtp_connect = acl_connect
acl_smtp_helo = acl_ehlo
acl_smtp_auth = acl_auth
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_predata = acl_data
acl_smtp_data = acl_content
acl_smtp_quit = acl_quit

begin acl

# Holds where something is forced at this stage, which is then used up.
forced:
  warn set acl_c_reply =
  deny condition = \${if !exists{$directory/control/\$acl_arg1}}
  warn set acl_c_reply = \${readfile{$directory/control/\$acl_arg1}{}}
  deny condition = \${run{/bin/rm $directory/control/\$acl_arg1}{no}{yes}}
  accept condition = \${if eq{\$acl_c_reply}{drop}{\${run{/bin/kill -KILL \$pid}}}{yes}}

$(acl connect)
  accept

$(acl ehlo)
  accept

$(acl auth)
  accept

$(acl mail)
  accept

$(acl rcpt)
  deny !authenticated = *
       message = 530 5.7.0 authentication required
  warn set acl_m_refusal = \${lookup{\${lc:\$local_part@\$domain}}lsearch{$directory/control/refused}}
  defer condition = \${if match{\$acl_m_refusal}{^4}}
        message = \$acl_m_refusal
  deny condition = \${if match{\$acl_m_refusal}{^5}}
       message = \$acl_m_refusal
  defer condition = \${if exists{$directory/control/recipients}}
        condition = \${if >={\$recipients_count}{\${readfile{$directory/control/recipients}{}}}}
        message = 452 4.5.3 too many recipients
  accept

$(acl data)
  accept

$(acl content)
  # Who gets it is nowhere in the mail itself.
  warn add_header = :at_start:X-Portside-Envelope: \$recipients
  accept

$(acl quit)
  accept

begin routers

everyone:
  driver = accept
  transport = file

begin transports

file:
  driver = appendfile
  file = $directory/delivered/\$message_exim_id
  batch_max = 100000
  use_crlf = true
  check_string =
  escape_string =
  message_prefix =
  message_suffix =
  mode = 0644

begin retry

* * F,1m,1m

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{\$auth2}{$user}}{eq{\$auth3}{$password}}}}
  server_set_id = \$auth2

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = \${if and{{eq{\$auth1}{$user}}{eq{\$auth2}{$password}}}}
  server_set_id = \$auth1
CONF

LD_LIBRARY_PATH=$libraries LD_PRELOAD=$wrapper \
  NSS_WRAPPER_PASSWD=$directory/passwd NSS_WRAPPER_GROUP=$directory/group \
  setsid "$directory/exim" -C "$directory/exim.conf" -bdf </dev/null >log/out 2>log/err &
echo $! >started.pid

# Ready is when it greets, not when the port is open.
for attempt in $(seq 100); do
  greeting=$({ exec 3<>"/dev/tcp/127.0.0.1/$port" && read -r -t 5 line <&3 && echo "$line"; } 2>/dev/null || true)
  [[ $greeting != 220* ]] || break
  kill -0 "$(cat started.pid)" 2>/dev/null || fail "the server died"
  [[ $attempt != 100 ]] || fail "the server was not ready in time"
  sleep 0.1
done

started=1
escape() { sed 's,/,%2F,g; s,+,%2B,g; s,@,%40,g' <<<"$1"; }
echo "smtp://$(escape "$user"):$(escape "$password")@127.0.0.1:$port"
