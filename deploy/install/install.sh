#!/usr/bin/env bash
# Sets a host up once /opt/nightferry holds the program: the user, /etc/nightferry, keys, units. May be run again at any time
# (after an upgrade it must be); settings, secrets and keys that are there stay as they are, and each change is shown.
#
#   install.sh telescope             do it (as root)
#   install.sh centre                the same for a host of the data centre, deploy/sshd/install.sh with it
#   install.sh telescope --dry-run   only show what would be done
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=/opt/nightferry/bin/nightferry # the units name it
user=nightferry                        # and this
etc=/etc/nightferry
units=/etc/systemd/system
dry=
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

run() {
    printf '+ %s\n' "$*"
    [ -n "$dry" ] || "$@"
}

as_user() {
    runuser -u "$user" -- "$@"
}

make_user() {
    getent group "$user" >/dev/null || run groupadd --system "$user"
    getent passwd "$user" >/dev/null && return
    run useradd --system --gid "$user" --home-dir /var/lib/nightferry --no-create-home --shell "$(command -v nologin)" \
        --password '*' "$user"
}

# Root's umask, or a Python below /root, may shut the user of the daemons out of what root can start.
check_program() {
    [ -x "$program" ] || fail "there is no $program: python3 -m venv /opt/nightferry, then pip install (README.md)"
    [ -n "$dry" ] || as_user "$program" --version >/dev/null ||
        fail "$user cannot run $program: is it, or the Python it was made with, readable for everybody?"
    [ "$(readlink /usr/local/bin/nightferry || true)" = "$program" ] || run ln -sfn "$program" /usr/local/bin/nightferry
}

# group NAME: a group that the user joins where it exists
join_group() {
    getent group "$1" >/dev/null || return 0
    case " $(id -Gn "$user" 2>/dev/null || true) " in
    *" $1 "*) ;;
    *) run usermod --append --groups "$1" "$user" ;;
    esac
}

# Debian's spool of smstools has the sticky bit: a message that no modem takes could not be taken back from smsd.
open_spool() {
    local path
    join_group smsd
    for path in /var/spool/sms/checked /var/spool/sms/failed; do
        [ ! -k "$path" ] || run chmod -t "$path"
    done
}

# settings FILE NAME: a copy to be edited, unless there is one
settings() {
    [ -e "$etc/$2" ] || run install -m 640 -o root -g "$user" "$here/deploy/config/$1" "$etc/$2"
}

make_settings() {
    [ "$(stat -c '%a %U %G' "$etc" 2>/dev/null || echo none)" = "750 root $user" ] ||
        run install -d -m 750 -o root -g "$user" "$etc"
    settings "$1" "$1"
    [ -e "$etc/site.yaml" ] || run ln -s "$1" "$etc/site.yaml"
}

# The directory is root's: what the daemons read there they cannot replace. So root makes the keys and gives them away.
make_keys() {
    if [ ! -e "$etc/id_ed25519" ]; then
        run ssh-keygen -q -t ed25519 -N '' -C nightferry -f "$etc/id_ed25519"
        run chown "$user:" "$etc/id_ed25519"
    fi
    if [ ! -e "$etc/night_key" ]; then
        run "$program" keygen "$etc/night_key" --site "$(sed -n 's/^site: *\([^ #]*\).*/\1/p' "$etc/site.yaml" 2>/dev/null)"
        run chown "$user:" "$etc/night_key"
    fi
}

# Secrets belong to the user alone; what the units read (environment) to root.
shut_secrets() {
    local path owner
    for path in "$etc"/*.url "$etc"/*.token "$etc"/*.password "$etc"/environment; do
        [ -e "$path" ] || continue
        owner="$user"
        [ "$path" != "$etc/environment" ] || owner=root
        [ "$(stat -c '%a %U' "$path")" = "600 $owner" ] && continue
        run chown "$owner:" "$path"
        run chmod 600 "$path"
    done
}

install_units() {
    local name changed=
    for name in "$@"; do
        cmp -s "$here/systemd/$name" "$units/$name" && continue
        run install -m 644 -o root -g root "$here/systemd/$name" "$units/$name"
        changed=1
    done
    [ -z "$changed" ] || run systemctl daemon-reload
}

tell() {
    cat <<EOF
Done. What is left for you (systemd/README.md says more):
  1. Edit $etc/$1 for this site; secrets go into files of their own, which you then shut by running this once more.
EOF
    if [ "$1" = summit.yaml ]; then
        cat <<EOF
  2. Give the data centre $etc/id_ed25519.pub and $etc/night_key.pub, and put its host key into $etc/known_hosts.
  3. Let $user read the camera's disk, and the time of the end of night be yours: systemctl edit nightferry-endofnight.timer
  4. runuser -u $user -- nightferry config check $etc/site.yaml
  5. systemctl enable --now nightferry-{watch,ship,metrics,notify,housekeep}.service nightferry-endofnight.timer
EOF
    else
        cat <<EOF
  2. Put the telescope's keys where $etc/$1 (night_keys) and deploy/sshd/README.md say, and start Redis.
  3. runuser -u $user -- nightferry config check $etc/site.yaml
  4. systemctl enable --now nightferry-{receive,conduct,work@1,work@2,metrics,notify}.service   (one work@ per core)
EOF
    fi
    echo "     what runs already and has changed, or has joined a group: systemctl restart 'nightferry-*'"
}

main() {
    local role=${1:-} common=(nightferry-housekeep.service nightferry-metrics.service nightferry-notify.service)
    case "$role ${2:-}" in
    'telescope ' | 'centre ') ;;
    'telescope --dry-run' | 'centre --dry-run') dry=1 ;;
    *) fail "usage: install.sh telescope|centre [--dry-run]" ;;
    esac
    [ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || fail "run it as root, or with --dry-run"
    cd /
    make_user
    check_program
    open_spool
    if [ "$role" = telescope ]; then
        make_settings summit.yaml
        settings limits/euclid_roe.yaml limits.yaml
        make_keys
        shut_secrets
        install_units nightferry-{watch,ship}.service nightferry-endofnight.{service,timer} "${common[@]}"
        [ -n "$dry" ] || tell summit.yaml
    else
        make_settings centre.yaml
        shut_secrets
        install_units nightferry-{receive,conduct,work@}.service "${common[@]}"
        "$here/deploy/sshd/install.sh" ${dry:+--dry-run}
        [ -n "$dry" ] || tell centre.yaml
    fi
}

main "$@"
