# shellcheck shell=bash
# A Ceph object gateway on loopback that speaks TLS, as pgBackRest wants it; sourced by s3.sh.
#
# Sets gateway_endpoint, gateway_host, gateway_port, gateway_key, gateway_secret, gateway_certificate and rclone.
gateway_directory=$work/gateway gateway_host=localhost
gateway_certificate=$work/gateway.crt gateway_key=BENCHKEY000000000000 gateway_secret=benchsecret00000000000000000000000000000

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
gateway_answers() { curl -s -o /dev/null -m 2 --cacert "$gateway_certificate" "$gateway_endpoint/"; }

gateway_start() {
  local port
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=gateway -addext "subjectAltName=DNS:$gateway_host" \
    -keyout "$work/gateway.key" -out "$gateway_certificate" 2>/dev/null
  chmod 644 "$gateway_certificate"
  port=$(free_port)
  gateway_port=$(free_port)
  gateway_endpoint=https://$gateway_host:$gateway_port
  # As a command, for measure.py too.
  rclone=(env "HOME=$work" RCLONE_CONFIG=/dev/null RCLONE_CONFIG_GATEWAY_TYPE=s3 RCLONE_CONFIG_GATEWAY_PROVIDER=Ceph
    "RCLONE_CONFIG_GATEWAY_ACCESS_KEY_ID=$gateway_key" "RCLONE_CONFIG_GATEWAY_SECRET_ACCESS_KEY=$gateway_secret"
    "RCLONE_CONFIG_GATEWAY_ENDPOINT=$gateway_endpoint" "$BACKUPD_TEST_SERVERS/bin/rclone"
    --ca-cert "$gateway_certificate")
  bash "$BACKUPD_TEST_PARTS/ceph-s3.sh" start "$gateway_directory" "$port" "$gateway_key" "$gateway_secret" >"$work/gateway.log"
  # The same gateway once more, with a certificate.
  gateway_end
  sed -i "s|^rgw frontends = .*|rgw frontends = beast ssl_endpoint=127.0.0.1:$gateway_port ssl_certificate=$gateway_certificate ssl_private_key=$work/gateway.key|" \
    "$gateway_directory/ceph.conf"
  radosgw -c "$gateway_directory/ceph.conf" -n client.rgw >>"$work/gateway.log" 2>&1
  wait_for "the gateway" gateway_answers
}
# Ends the gateway itself; monitor and storage stay.
gateway_end() {
  local pid
  pid=$(cat "$gateway_directory/run/client.rgw.pid")
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}
gateway_stop() { [ ! -d "$gateway_directory" ] || bash "$BACKUPD_TEST_PARTS/ceph-s3.sh" stop "$gateway_directory" || true; }

# An empty bucket; what was in it before is given back at once, since the storage is memory.
gateway_bucket() {
  radosgw-admin -c "$gateway_directory/ceph.conf" bucket rm --bucket="$1" --purge-objects --bypass-gc >/dev/null 2>&1 || true
  gateway_rclone mkdir "gateway:$1"
}
# gateway_bytes BUCKET [rclone filter ...]
gateway_bytes() { gateway_rclone size --json "gateway:$1" "${@:2}" | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p'; }

gateway_rclone() { "${rclone[@]}" "$@"; }
