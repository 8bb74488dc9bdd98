#!/bin/sh
# A throw-away PostgreSQL on loopback.
# usage: scripts/peers/postgresql.sh start DIR PORT [--durable] | stop DIR
# Without --durable nothing is flushed to disk: right for tests, wrong for benchmarks.
set -eu

usage() { echo "usage: postgresql.sh start DIR PORT [--durable] | stop DIR" >&2; exit 2; }
case ${1:-}:$# in start:3 | start:4 | stop:2) action=$1 dir=$(realpath -m "$2") ;; *) usage ;; esac
[ "${4:---durable}" = --durable ] || usage
bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "postgresql.sh: PostgreSQL is not installed (scripts/install-peers.sh)" >&2; exit 1; }

as_user() { # initdb and postgres refuse to run as root
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups env LC_ALL=C.UTF-8 "$@"
  else
    env LC_ALL=C.UTF-8 "$@"
  fi
}

case $action in
start)
  port=$3
  mkdir -p "$dir"
  [ "$(id -u)" != 0 ] || chown nobody "$dir"
  [ -f "$dir/data/PG_VERSION" ] || as_user "$bin/initdb" -D "$dir/data" -U gateway -A trust \
    -E UTF8 --locale=C.UTF-8 --no-sync --no-instructions >/dev/null
  flush="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  [ "${4:-}" != --durable ] || flush="-c fsync=on -c synchronous_commit=on -c full_page_writes=on"
  as_user "$bin/pg_ctl" -D "$dir/data" -w -t 30 -l "$dir/log" start \
    -o "-p $port -k $dir -c listen_addresses=127.0.0.1 -c max_connections=100 $flush" >/dev/null || {
    cat "$dir/log" >&2
    exit 1
  }
  ;;
stop)
  [ -f "$dir/data/postmaster.pid" ] || exit 0
  as_user "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null
  ;;
esac
