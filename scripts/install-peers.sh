#!/bin/sh
# Installs, from Debian's packages, the real peers that the tests talk to. Idempotent.
# usage: scripts/install-peers.sh [--bench]
set -eu

packages="postgresql-15 dovecot-imapd dovecot-lmtpd postfix openssl ca-certificates procps systemd"
case ${1:-} in
"") ;;
--bench) packages="$packages wrk" ;;
*) echo "usage: scripts/install-peers.sh [--bench]" >&2; exit 2 ;;
esac
command -v dpkg-query >/dev/null || {
  echo "install-peers: no dpkg here; install by hand: $packages" >&2
  exit 1
}

missing=
for package in $packages; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
  sudo="sudo -n"
  $sudo true 2>/dev/null || {
    echo "install-peers: run as root (or with password-less sudo) to install:$missing" >&2
    exit 1
  }
fi

# The packages must not start their own daemons: the tests start theirs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
  trap '$sudo rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM # dash runs the EXIT trap only where it exits by itself
fi

postfix_answer="postfix postfix/main_mailer_type select No configuration"
case " $missing " in
*" postfix "*) echo "$postfix_answer" | $sudo debconf-set-selections ;;
esac
# sudo drops the environment: env sets it on the other side.
install="env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
$sudo apt-get update -qq
# shellcheck disable=SC2086 # lists of words
$sudo $install $missing
