#!/bin/sh
# Dovecot and Postfix on loopback, with the mailboxes of a small city hall, two more
# cities (posta and ufficio at uno.test and due.test), and a domain whose mail bounces
# after it was taken (nessuno.test: sent to itself, refused). dopo@comune.test is put off
# for ever (450), whoever else has no mailbox is refused (550).
# Any mailbox of pec-uno.test and pec-due.test, whose mail is registered mail.
# usage: scripts/peers/mail.sh start DIR BASE_PORT | stop DIR
# Ports from BASE_PORT: +0 IMAP (STARTTLS), +1 IMAP (TLS), +2 submission (STARTTLS, auth),
# +3 submission (TLS, auth), +4 plain SMTP as an MX, +5 LMTP and +6 SASL (internal),
# +7 submission of registered mail (TLS, auth), which is handed to a provider on +8.
# At +9 a test may serve what says whose an OAuth2 token is (POST /introspect, RFC 7662).
# Postfix's master needs root; Dovecot runs as nobody. Passwords: segreta.
set -eu

usage() { echo "usage: mail.sh start DIR BASE_PORT | stop DIR" >&2; exit 2; }
case ${1:-}:$# in start:3 | stop:2) action=$1 dir=$(realpath -m "$2") ;; *) usage ;; esac
[ "$(id -u)" = 0 ] || { echo "mail.sh: Postfix's master process needs root" >&2; exit 1; }
for program in /usr/sbin/dovecot /usr/sbin/postfix; do
  [ -x "$program" ] || { echo "mail.sh: no $program (scripts/install-peers.sh)" >&2; exit 1; }
done
user=nobody group=$(id -gn nobody)
as_user() { setpriv --reuid=$user --regid="$group" --clear-groups "$@"; }

if [ "$action" = stop ]; then
  [ ! -f "$dir/postfix/queue/pid/master.pid" ] || /usr/sbin/postfix -c "$dir/postfix/etc" stop 2>/dev/null || true
  [ ! -f "$dir/dovecot/run/master.pid" ] || as_user doveadm -c "$dir/dovecot/dovecot.conf" stop || true
  exit 0
fi

port=$3
imap=$port imaps=$((port + 1)) submission=$((port + 2)) submissions=$((port + 3))
smtp=$((port + 4)) lmtp=$((port + 5)) sasl=$((port + 6))
pec=$((port + 7)) provider=$((port + 8)) introspection=$((port + 9))

mkdir -p "$dir/dovecot/run" "$dir/mail" "$dir/tls" "$dir/postfix/etc" "$dir/postfix/queue" "$dir/postfix/data"
chmod 755 "$dir"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
  -keyout "$dir/tls/key.pem" -out "$dir/tls/cert.pem" 2>/dev/null

for name in urp strade rifiuti cittadino; do
  echo "$name@comune.test:{PLAIN}segreta::::::"
done >"$dir/dovecot/users"
for name in posta@uno posta@due ufficio@uno ufficio@due; do
  echo "$name.test:{PLAIN}segreta::::::"
done >>"$dir/dovecot/users"

cat >"$dir/dovecot/oauth2.conf" <<C
introspection_mode = post
introspection_url = http://127.0.0.1:$introspection/introspect
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
C
cat >"$dir/dovecot/dovecot.conf" <<C
base_dir = $dir/dovecot/run
state_dir = $dir/dovecot
log_path = $dir/dovecot/log
instance_name = gateway-test-$port
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = $user
default_internal_group = $group
default_login_user = $user
# Dovecot takes a password in clear from its own address all the same.
ssl = yes
ssl_cert = <$dir/tls/cert.pem
ssl_key = <$dir/tls/key.pem
disable_plaintext_auth = yes
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:$dir/mail/%u
imap_hibernate_timeout = 0
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = $dir/dovecot/oauth2.conf
}
passdb {
  driver = passwd-file
  args = $dir/dovecot/users
}
passdb {
  driver = static
  args = password=segreta
  username_filter = *@pec-uno.test *@pec-due.test
}
userdb {
  driver = static
  args = uid=$user gid=$group home=$dir/mail/%u
}
namespace inbox {
  inbox = yes
}
service anvil {
  chroot =
  # Who was refused need not wait, ever longer.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  chroot =
  inet_listener imap {
    port = $imap
  }
  inet_listener imaps {
    port = $imaps
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = $lmtp
  }
}
service auth {
  inet_listener sasl {
    port = $sasl
  }
  unix_listener auth-userdb {
    mode = 0600
    user = $user
  }
}
service stats {
  client_limit = 100
}
C

etc=$dir/postfix/etc
cat >"$etc/main.cf" <<C
compatibility_level = 3.6
queue_directory = $dir/postfix/queue
data_directory = $dir/postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
mynetworks = 127.0.0.1/32
recipient_delimiter = +
virtual_mailbox_domains = comune.test, uno.test, due.test, pec-uno.test, pec-due.test
transport_maps = inline:{nessuno.test=smtp:[127.0.0.1]:$smtp}
virtual_mailbox_maps = inline:{urp@comune.test=1,strade@comune.test=1,rifiuti@comune.test=1,cittadino@comune.test=1,posta@uno.test=1,posta@due.test=1,ufficio@uno.test=1,ufficio@due.test=1}, regexp:$etc/pec
virtual_transport = lmtp:inet:127.0.0.1:$lmtp
lmtp_tls_security_level = none
alias_maps =
local_recipient_maps =
maillog_file = $dir/postfix/log
maillog_file_prefixes = $dir
smtpd_tls_cert_file = $dir/tls/cert.pem
smtpd_tls_key_file = $dir/tls/key.pem
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:$sasl
smtpd_peername_lookup = no
smtp_host_lookup = native
# Who has logged in is vouched for, as an MX does (RFC 8601).
vouched = check_sasl_access inline:{ {ufficio@uno.test = PREPEND Authentication-Results: localhost; auth=pass smtp.auth=ufficio@uno.test}, {cittadino@comune.test = PREPEND Authentication-Results: localhost; auth=pass smtp.auth=cittadino@comune.test} }
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{dopo@comune.test = 450 4.7.1 come back later}}, reject_unlisted_recipient
message_size_limit = 31457280
# A provider of registered mail comes and goes with the test that is one.
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
C
echo '/@pec-(uno|due)\.test$/ 1' >"$etc/pec"
cat >"$etc/master.cf" <<C
$smtp inet n - n - - smtpd
$submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject
$submissions inet n - n - - smtpd
  -o smtpd_data_restrictions=\$vouched
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject
$pec inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject -o content_filter=smtp:[127.0.0.1]:$provider
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 1 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
lmtp      unix  - - n - - lmtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
C
chown -R "$user:$group" "$dir/dovecot" "$dir/mail" "$dir/tls"
chown postfix "$dir/postfix/data"
as_user /usr/sbin/dovecot -c "$dir/dovecot/dovecot.conf"
/usr/sbin/postfix -c "$etc" start >/dev/null 2>"$dir/postfix/start.err" || {
  cat "$dir/postfix/start.err" >&2
  exit 1
}
