#!/bin/sh
# Gives the proxy its certificate, or a renewed one, with which it serves at once and without a pause.
#
#   deploy/tls/certificate.sh fullchain.pem privkey.pem
#
# The certificate comes first, then those above it but for the root, and the key, which has no passphrase; in as many
# files as you like. What does not belong together is refused, and the one in place stays.
set -eu
[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
pem=$(cat -- "$@")
cd "$(dirname "$0")/../.."

printf '%s\n' "$pem" | docker compose run --rm --no-deps -T secrets certificate
# A proxy that serves with one already; else it is read at the start.
if [ -n "$(docker compose ps --status running --quiet proxy)" ] && docker compose exec -T proxy test -S /dev/shm/haproxy.sock; then
    docker compose exec -T proxy python3 -I /etc/registry/tls/renew.py
fi
