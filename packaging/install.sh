#!/bin/sh
# Installs decnet-agent on a host with systemd, or upgrades it; as root:
#   decnet-agent print install | sh
# It needs no network, changes only what differs, and prints each step.
set -eu
program=/usr/local/bin/decnet-agent

user=decnet-agent
installed=/usr/local/bin/decnet-agent
config=/etc/decnet/decnet.ini
certificates=/etc/decnet/agent
state=/var/lib/decnet-agent
unit=/etc/systemd/system/decnet-agent.service
podman=/etc/systemd/system/podman.socket.d/decnet-agent.conf
changes=0

fail() {
  printf 'decnet-agent: %s\n' "$*" >&2
  exit 1
}

did() {
  changes=$((changes + 1))
  echo "$*"
}

# Runs a command as the agent's user, without what root's shell has set.
as_agent() {
  env -i PATH="$PATH" TERM="${TERM:-dumb}" runuser -u "$user" -- "$@"
}

# put PATH MODE COMMAND…: the output of the command becomes the file, in one step, if it differs.
put() {
  path=$1 mode=$2 kept=
  shift 2
  new=$(mktemp "$path.XXXXXX")
  "$@" >"$new"
  chmod "$mode" "$new"
  if [ -f "$path" ] && cmp -s "$new" "$path"; then
    rm "$new"
    echo "unchanged: $path"
    return
  fi
  if [ -f "$path" ] && { [ "$path" = "$installed" ] || [ "$path" = "$unit" ]; }; then
    ln -f "$path" "$path.previous"
    kept=", keeping the old one as $path.previous"
  fi
  mv -fT "$new" "$path"
  if command -v restorecon >/dev/null; then restorecon "$path" || :; fi
  did "installed $path$kept"
}

add_user() {
  if ! getent group "$user" >/dev/null; then
    groupadd --system "$user"
    did "created group $user"
  fi
  if id "$user" >/dev/null 2>&1; then
    echo "unchanged: user $user"
  else
    useradd --system --gid "$user" --home-dir /nonexistent --no-create-home \
      --shell /usr/sbin/nologin "$user"
    did "created user $user"
  fi
  if has_docker && ! id -nG "$user" | tr ' ' '\n' | grep -qx docker; then
    usermod -aG docker "$user"
    did "added user $user to group docker"
  fi
}

has_docker() {
  getent group docker >/dev/null
}

# own PATH OWNER MODE: for paths that no other user can replace by a link meanwhile.
own() {
  [ "$(stat -c '%U %a' "$1")" != "$2 $3" ] || return 0
  chown -hR "$2:" "$1"
  chmod "$3" "$1"
  did "changed $1: owner $2, mode $3"
}

# Whether only root can change what is in a folder.
is_roots() {
  [ -n "$(find "$1" -prune -type d -user root ! -perm -020 ! -perm -002)" ]
}

make_folders() {
  for folder in /etc/decnet "$certificates"; do
    [ ! -e "$folder" ] && [ ! -L "$folder" ] || continue
    mkdir "$folder"
    did "created $folder"
  done
  # systemd creates it; root has, where a command came before the service.
  if [ -L "$state" ]; then
    echo "left alone: $state, a link"
  elif [ -d "$state" ]; then
    own "$state" "$user" 700
  fi
  if [ -L "$certificates" ] || ! is_roots /etc/decnet; then
    echo "left alone: $certificates, which others than root could replace"
    return
  fi
  # It must be root's before the files in it are looked at: then no other user can put a link there.
  if ! is_roots "$certificates" || ! as_agent test -x "$certificates"; then
    own "$certificates" root 755
  fi
  for file in "$certificates/ca.crt" "$certificates/worker.crt" "$certificates/worker.key"; do
    if [ -z "$(find "$file" -prune -type f -links 1 2>/dev/null)" ]; then
      [ ! -e "$file" ] || echo "left alone: $file, a link"
    elif [ "$file" = "$certificates/worker.key" ]; then
      own "$file" "$user" 600
    elif ! as_agent test -r "$file"; then
      own "$file" root 644
    fi
  done
}

make_config() {
  if [ -e "$config" ] || [ -L "$config" ]; then
    echo "left alone: $config"
  elif ! is_roots "${config%/*}"; then
    # Another user could put a link in the place of the new file while it is written.
    echo "left alone: $config, which others than root could replace"
  else
    put "$config" 644 "$installed" print config
  fi
}

# systemd starts no service with a group that does not exist.
print_unit() {
  text=$("$installed" print systemd-service)
  has_docker || text=$(printf '%s\n' "$text" | sed '/^SupplementaryGroups=docker$/d')
  printf '%s\n' "$text"
}

property() {
  systemctl show --property="$1" --value decnet-agent
}

# Asks systemd what it runs: an earlier run of this script may have been interrupted.
start_service() {
  running=$(readlink "/proc/$(property MainPID)/exe") || :
  is_old=$(property NeedDaemonReload)
  systemctl daemon-reload
  if ! systemctl is-enabled --quiet decnet-agent 2>/dev/null; then
    systemctl --quiet enable decnet-agent
    did "enabled decnet-agent.service"
  fi
  action=start
  if systemctl is-active --quiet decnet-agent; then
    action=restart
    if [ "$running $is_old" = "$installed no" ]; then
      echo "unchanged: decnet-agent.service, which is running"
      return
    fi
  fi
  systemctl "$action" decnet-agent || fail "it did not start: journalctl -u decnet-agent -n 20"
  did "${action}ed decnet-agent.service"
}

explain_podman() {
  cat <<END

There is no group docker. To use Podman, let the agent's group open its socket:

mkdir -p ${podman%/*}
cat >$podman <<CONF
[Socket]
SocketGroup=$user
SocketMode=0660
ExecStartPost=/bin/chmod 0711 /run/podman
CONF
systemctl daemon-reload
systemctl enable podman.socket
systemctl restart podman.socket
END
}

explain_master() {
  cat <<END

To report to a master, put the files that it issued for this host into place:

install -m 0644 decnet.ini $config
install -m 0644 ca.crt worker.crt $certificates/
install -o $user -m 0600 worker.key $certificates/
systemctl reload decnet-agent
END
}

# All of it has been read before it runs: a text that was cut off does nothing.
main() {
  umask 022
  cd /
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [ "$(id -u)" = 0 ] || fail "only root can install it: decnet-agent print install | sudo sh"
  [ -d /run/systemd/system ] || fail "systemd does not run here. Use cron: decnet-agent print cron"
  [ "$(readlink "$unit")" != /dev/null ] || fail "its unit is masked: systemctl unmask decnet-agent"
  new=''
  trap 'rm -f "$new"' EXIT
  trap 'exit 1' HUP INT TERM

  put "$installed" 755 cat "$program"
  add_user
  make_folders
  make_config
  mkdir -p /usr/local/share/man/man1 /etc/bash_completion.d
  put /usr/local/share/man/man1/decnet-agent.1 644 "$installed" print man
  put /etc/bash_completion.d/decnet-agent 644 "$installed" print completion bash
  put "$unit" 644 print_unit
  start_service
  [ "$changes" != 0 ] || echo "nothing had to change"

  echo
  as_agent "$installed" doctor || :
  has_docker || [ -e "$podman" ] || explain_podman
  [ -e "$certificates/worker.key" ] || explain_master
}

main "$@" </dev/null
