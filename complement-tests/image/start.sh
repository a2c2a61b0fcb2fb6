#!/bin/sh
# Signs a certificate for the name this container was given, with the authority of this run, and becomes the server.
set -eu
tls=/var/lib/chappe/tls
install -d -o chappe -g chappe -m 700 "$tls"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$tls/tls.key" -out "$tls/tls.csr" \
  -subj "/CN=$SERVER_NAME" 2>/dev/null
printf 'subjectAltName=DNS:%s\n' "$SERVER_NAME" > "$tls/extensions"
openssl x509 -req -in "$tls/tls.csr" -CA /complement/ca/ca.crt -CAkey /complement/ca/ca.key -set_serial "0x$(openssl rand -hex 8)" \
  -days 2 -extfile "$tls/extensions" -out "$tls/tls.crt" 2>/dev/null
cp /complement/ca/ca.crt "$tls/ca.crt"
chown chappe:chappe "$tls"/*
chmod 600 "$tls/tls.key"

export CHAPPE_SERVER_NAMES="$SERVER_NAME"
registrations=$(find /complement/appservice -name '*.yaml' 2>/dev/null | sort | paste -s -d , -)
if [ -n "$registrations" ]; then export CHAPPE_APP_SERVICE_CONFIG_FILES="$registrations"; fi
exec setpriv --reuid=chappe --regid=chappe --clear-groups \
  /chappe/node_modules/.bin/node /chappe/chappe.js start --config /etc/chappe.yaml
