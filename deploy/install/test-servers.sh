#!/usr/bin/env bash
# The servers that the tests talk to: sshd, PostgreSQL, InfluxDB, VictoriaMetrics, mosquitto, nginx, smstools, chrony, fpack, solve-field. Installed only when missing, only as root.
set -euo pipefail

declare -A package=(
    [/usr/sbin/sshd]=openssh-server
    [/usr/lib/postgresql]=postgresql
    [/usr/bin/fpack]=libcfitsio-bin
    [/usr/bin/influxd]=influxdb
    [/usr/bin/victoria-metrics]=victoria-metrics
    [/usr/sbin/mosquitto]=mosquitto
    [/usr/sbin/nginx]=nginx-light
    [/usr/sbin/smsd]=smstools
    [/usr/sbin/chronyd]=chrony
    [/usr/bin/solve-field]=astrometry.net
)
missing=()
for path in "${!package[@]}"; do
    [ -e "$path" ] || missing+=("${package[$path]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "tests need: ${missing[*]}. Install them, or run as root to have it done." >&2
    exit 3
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
