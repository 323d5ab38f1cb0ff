#!/usr/bin/env bash
# Sets up the receiving host's sftp account: users, directories, sshd's drop-in. May be run again at any time; each change
# is shown before it is made.
#
#   install.sh            do it (as root)
#   install.sh --dry-run  only show what would be done
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
account=nightferry-in    # who delivers; nightferry.conf names it
receiver=nightferry      # who receives; the systemd units name it
base=/srv/nightferry
incoming=$base/incoming  # nightferry.conf and the receiver's settings (receive.root) name it
keys=/etc/ssh/nightferry/authorized_keys.$account
config=/etc/ssh/sshd_config
drop_in=/etc/ssh/sshd_config.d/nightferry.conf
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

find_sshd() {
    local path
    for path in "$(command -v sshd || true)" /usr/sbin/sshd /usr/local/sbin/sshd; do
        [ -x "$path" ] && echo "$path" && return
    done
    fail "there is no sshd here: install the OpenSSH server first"
}

# make_group NAME
make_group() {
    getent group "$1" >/dev/null || run groupadd --system "$1"
}

# make_user NAME HOME: without shell and without password, but not locked: sshd without PAM refuses locked accounts
make_user() {
    local name=$1 home=$2 shell
    shell=$(command -v nologin || echo /usr/sbin/nologin)
    make_group "$name"
    if ! getent passwd "$name" >/dev/null; then
        run useradd --system --gid "$name" --home-dir "$home" --no-create-home --shell "$shell" --password '*' "$name"
    fi
}

# The delivering account may have been there before: what it must not have is taken away.
disarm_account() {
    local entry shell
    entry=$(getent passwd "$account") || return 0 # only in a dry run
    shell=${entry##*:}
    case $shell in */nologin | */false) ;; *) run usermod --shell "$(command -v nologin || echo /usr/sbin/nologin)" "$account" ;; esac
    [ "$(getent shadow "$account" | cut -d: -f2)" = '*' ] || run usermod --password '*' "$account"
    [ "$(id -Gn "$account")" = "$account" ] || fail "$account is in other groups ($(id -Gn "$account")): take it out of them"
}

# A receiver that is running takes note of its new group when it is started again.
join_group() {
    case " $(id -Gn "$receiver" 2>/dev/null || true) " in
    *" $account "*) ;;
    *) run usermod --append --groups "$account" "$receiver" ;;
    esac
}

# directory MODE OWNER GROUP PATH
directory() {
    local now
    now=$(stat -c '%a %U %G' "$4" 2>/dev/null || echo none)
    [ "$now" = "$1 $2 $3" ] || run install -d -m "$1" -o "$2" -g "$3" "$4"
}

make_directories() {
    # sshd wants the chroot and all above it to belong to root.
    directory 755 root root "$base"
    directory 755 root root "$incoming"
    # The inbox is the receiver's, so that the account cannot change its mode; the account writes as a member of its group,
    # and by the same group the receiver reads what it finds.
    directory 2770 "$receiver" "$account" "$incoming/inbox"
    # Receipts are written by the receiver and read by the account.
    directory 2750 "$receiver" "$account" "$incoming/receipts"
    # What was corrupt is kept for a person. The same file system as the inbox, and nothing for the account to see.
    directory 700 "$receiver" "$receiver" "$incoming/quarantine"
    # The receiver and the workers cannot make these themselves below a directory of root's.
    local name
    for name in archive products tasklogs; do
        directory 755 "$receiver" "$receiver" "$base/$name"
    done
}

make_key_file() {
    directory 755 root root "$(dirname "$keys")"
    [ -e "$keys" ] || run install -m 640 -o root -g "$account" /dev/null "$keys"
    [ "$(stat -c '%a %U %G' "$keys" 2>/dev/null || echo none)" = "640 root $account" ] && return
    run chown "root:$account" "$keys"
    run chmod 640 "$keys"
}

# sshd asks for an empty directory even to read its configuration. Where it is started only when somebody calls (ssh.socket),
# nothing has made it yet.
make_empty_directory() {
    local missing
    missing=$("$1" -t -f "$config" 2>&1 | tr -d '\r' | sed -n 's/^Missing privilege separation directory: //p') || true
    [ -z "$missing" ] || run install -d -m 755 -o root -g root "$missing"
}

# Puts the drop-in into place; what sshd does not accept is taken back at once.
install_drop_in() {
    local sshd=$1 before=
    cmp -s "$here/nightferry.conf" "$drop_in" && return
    directory 755 root root "$(dirname "$drop_in")"
    if [ -e "$drop_in" ]; then
        before=$(mktemp)
        cp -p "$drop_in" "$before"
    fi
    run install -m 644 -o root -g root "$here/nightferry.conf" "$drop_in"
    [ -z "$dry" ] || return 0
    if ! "$sshd" -t -f "$config"; then
        if [ -n "$before" ]; then mv "$before" "$drop_in"; else rm "$drop_in"; fi
        fail "sshd does not accept nightferry.conf; it was taken back"
    fi
    [ -z "$before" ] || rm "$before"
}

# Asks sshd itself what holds for the account, whatever else is in its configuration.
check_effect() {
    local sshd=$1 effect line
    printf '+ %s\n' "$sshd -t" "$sshd -T -C user=$account,host=localhost,addr=127.0.0.1"
    [ -z "$dry" ] || return 0
    "$sshd" -t -f "$config"
    effect=$("$sshd" -T -f "$config" -C "user=$account,host=localhost,addr=127.0.0.1")
    for line in "chrootdirectory $incoming" "forcecommand internal-sftp -u 0027 " "authenticationmethods publickey" \
        "passwordauthentication no" "disableforwarding yes" "permittty no" \
        "authorizedkeysfile /etc/ssh/nightferry/authorized_keys.%u"; do
        grep -qF "$line" <<<"$effect" ||
            fail "sshd does not obey nightferry.conf ('$line' does not hold): $config must have
    Include /etc/ssh/sshd_config.d/*.conf
before its own Match blocks, and no file before nightferry.conf may have one for $account"
    done
    grep -qi '^subsystem sftp ' <<<"$effect" || fail "$config must have 'Subsystem sftp internal-sftp'"
    grep -qxF 'permituserenvironment no' <<<"$effect" || fail "$config must not have 'PermitUserEnvironment'"
}

tell() {
    cat <<EOF
Done. What is left for you:
  1. Add the telescope's public key, one line, to $keys:
         echo 'restrict ssh-ed25519 AAAA… telescope' >> $keys
  2. Let sshd read its configuration again:  systemctl reload ssh   (sshd on some systems)
  3. Give the telescope this host's key for its known_hosts:  ssh-keyscan -t ed25519 THIS_HOST, compared with
         ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
  4. A receiver that is running must be started again, to be a member of the group $account.
  5. The route's address at the telescope is  sftp://$account@THIS_HOST:22/
EOF
}

main() {
    case "${1:-}" in
    '') ;;
    --dry-run) dry=1 ;;
    *) fail "usage: install.sh [--dry-run]" ;;
    esac
    [ -n "$dry" ] || [ "$(id -u)" -eq 0 ] || fail "run it as root, or with --dry-run"
    local sshd
    sshd=$(find_sshd)
    make_user "$receiver" /var/lib/nightferry
    make_user "$account" /
    disarm_account
    join_group
    make_directories
    make_key_file
    make_empty_directory "$sshd"
    install_drop_in "$sshd"
    check_effect "$sshd"
    [ -n "$dry" ] || tell
}

main "$@"
