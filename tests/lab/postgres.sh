#!/bin/bash
# tests/lab/postgres.sh - a PostgreSQL of our own, for the tests of shared state.
#
#   postgres.sh up FOLDER       starts one in FOLDER (made anew); prints the address to use
#   postgres.sh down FOLDER     stops it
#   postgres.sh restart FOLDER  stops it as a crash would, and starts it again
#
# As root on Debian it installs what it needs by apt, and runs the server as the user `postgres`.  It
# listens on a port of the loopback interface with password and, with a certificate of its own for
# `localhost`, TLS: FOLDER/ca.pem is the authority.
set -euo pipefail

verb=${1:-} folder=${2:-}
[ -n "$folder" ] || { sed -n '2,/^set/p' "$0" | sed '$d;s/^# \{0,1\}//'; exit 2; }

PASSWORD=correct-horse
programs() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1; }

install_it() {
  [ -z "$(programs)" ] && [ "$(id -u)" = 0 ] || return 0
  # without a cluster of the distribution's own
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -qq -o DPkg::Lock::Timeout=300 >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=300 postgresql openssl >&2
}

# The server refuses to run as root.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

certificate() { # an authority, and a server's certificate that it signed
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout "$1/ca.key" -out "$1/ca.pem"
  openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$1/server.key" -out "$1/server.csr"
  openssl x509 -req -days 2 -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial \
    -extfile <(printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE') -out "$1/server.pem"
} 2>/dev/null

start() { as_server "$(programs)/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start >&2; }

case $verb in
  up)
    install_it
    [ -n "$(programs)" ] || { echo "postgres.sh: needs PostgreSQL's server programs" >&2; exit 1; }
    rm -rf "$folder" && mkdir -p "$folder"
    certificate "$folder"
    printf %s "$PASSWORD" >"$folder/password"
    [ "$(id -u)" != 0 ] || chown -R postgres: "$folder"
    chmod 700 "$folder"
    as_server "$(programs)/initdb" -D "$folder/data" -U fleet -A scram-sha-256 --pwfile="$folder/password" \
      -E UTF8 --no-locale --no-instructions >&2
    chmod 600 "$folder/server.key"
    free_port >"$folder/port"
    cat >>"$folder/data/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
port = $(cat "$folder/port")
unix_socket_directories = ''
ssl = on
ssl_cert_file = '$folder/server.pem'
ssl_key_file = '$folder/server.key'
EOF
    start
    echo "postgres://fleet:$PASSWORD@localhost:$(cat "$folder/port")/postgres"
    ;;
  restart)
    as_server "$(programs)/pg_ctl" -D "$folder/data" -m immediate -w stop >&2
    start
    ;;
  down)
    [ ! -e "$folder/data/postmaster.pid" ] || as_server "$(programs)/pg_ctl" -D "$folder/data" -m immediate -w stop >&2
    rm -rf "$folder"
    ;;
  *) echo "postgres.sh: no verb $verb" >&2; exit 2 ;;
esac
