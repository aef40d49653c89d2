#!/bin/sh
# Makes what the fleet keeps secret, in the folder FOLDER: certificates for a day of trying, the token of the admin address
# and the key under which instances share what they know of rejected passwords. In production they come from your own
# authority and store of secrets.
#   secrets.sh FOLDER [ADDRESS…]      ADDRESS: of an instance; default: those of compose.yaml
set -eu
folder=${1:?the folder}
shift
[ $# -gt 0 ] || set -- 172.28.0.11 172.28.0.12 172.28.0.13
names=DNS:localhost
for address in "$@"; do names="$names,IP:$address"; done
umask 077
mkdir -p "$folder"
certificate() { # NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
    -addext "subjectAltName=$2" -keyout "$folder/$1.key" -out "$folder/$1.pem" 2>/dev/null
}
certificate admin "$names"
cp "$folder/admin.pem" "$folder/admin-ca.pem"
certificate origin "DNS:localhost,IP:127.0.0.1,IP:172.28.0.30"
# Certificates are public, and HAProxy runs as another user. Viaduct refuses a key or token that others can read.
chmod 755 "$folder"
chmod 644 "$folder"/*.pem
openssl rand -hex 32 >"$folder/admin-token"
openssl rand -hex 32 >"$folder/store-secret"
