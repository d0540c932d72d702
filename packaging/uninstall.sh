#!/bin/sh
# Removes decnet-agent from this host, but not its configuration, certificates and state; as root:
#   decnet-agent print uninstall | sh
# It changes nothing and exits with 1 while a topology is applied. Options, after "sh -s --":
#   --keep-topology  leaves the networks and containers of the topology as they are
#   --purge          removes configuration, certificates and state, too
set -eu
program=/usr/local/bin/decnet-agent

user=decnet-agent
installed=/usr/local/bin/decnet-agent
config=/etc/decnet/decnet.ini
certificates=/etc/decnet/agent
state=/var/lib/decnet-agent
units=/etc/systemd/system

fail() {
  printf 'decnet-agent: %s\n' "$*" >&2
  exit 1
}

# Without systemd every question to it has the answer no.
systemd() {
  [ -d /run/systemd/system ] && systemctl --quiet "$@"
}

remove() {
  for path; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    rm -rf "$path"
    printf 'removed %s\n' "$path"
  done
}

# Prints why the topology keeps the agent from being removed; nothing if it does not.
obstacle() {
  [ -z "$keep" ] || return 0
  # Without what root's shell has set: it may name another store or engine.
  report=$(env -i PATH="$PATH" "$program" state --json 2>/dev/null) || :
  topology=$(printf '%s\n' "$report" | sed -n 's/^  "topology_id": \(.*\),$/\1/p')
  unknown=$(printf '%s\n' "$report" | sed -n '/^    "unexpected"/,/]/s/.*"name": "\(decnet_t_.*\)".*/ \1/p')
  id=${topology#\"}
  id=${id%\"}
  case $topology,$id in
    null,*)
      [ -z "$unknown" ] ||
        printf 'running, but not known to the agent (--keep-topology goes on):\n%s\n' "$unknown"
      ;;
    # It is nothing to paste into a shell.
    *, | *,*[!A-Za-z0-9_.-]*)
      echo "cannot tell which topology is applied (--keep-topology goes on): decnet-agent state"
      ;;
    *) printf 'topology %s is applied. First: decnet-agent teardown %s\n' "$id" "$id" ;;
  esac
}

# The files of metrics that the configuration, the units and cron name.
textfiles() {
  cat "$config" "$units"/decnet-agent*.d/*.conf /etc/cron.d/decnet-agent 2>/dev/null |
    sed -n 's/^ *textfile *= *//p; s/.*DECNET_TEXTFILE=//p; s/.*--textfile[ =]\([^ ]*\).*/\1/p' |
    grep '^/.*\.prom$'
}

remove_metrics() {
  textfiles | while read -r path; do
    remove "$path"
    # The agent may have been given access to the folder.
    if command -v setfacl >/dev/null; then setfacl -x "u:$user" "${path%/*}" 2>/dev/null || :; fi
  done
}

remove_units() {
  for unit in decnet-agent-check.timer decnet-agent-check.service decnet-agent.service; do
    [ -e "$units/$unit" ] || [ -d "$units/$unit.d" ] || continue
    systemd stop "$unit" || :
    systemd disable "$unit" 2>/dev/null || :
    remove "$units/$unit" "$units/$unit.d" "$units/$unit.previous"
  done
  if [ -e "$units/podman.socket.d/decnet-agent.conf" ]; then
    remove "$units/podman.socket.d/decnet-agent.conf"
    rmdir "$units/podman.socket.d" 2>/dev/null || :
    chmod 0700 /run/podman 2>/dev/null || :
    podman=yes
  fi
  systemd daemon-reload || :
  systemd reset-failed 'decnet-agent*' 2>/dev/null || :
  if [ -n "$podman" ]; then systemd try-restart podman.socket || :; fi
}

# Another user could get the number of the old one: nothing may be left that belongs to it.
remove_user() {
  for path in "$certificates" "$state"; do
    [ ! -d "$path" ] || chown -hR root: "$path"
  done
  id "$user" >/dev/null 2>&1 || return 0
  # A check that is running ends within 10 s.
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    [ -n "$(find /proc -maxdepth 1 -user "$user" 2>/dev/null)" ] || break
    sleep 1
  done
  userdel "$user"
  ! getent group "$user" >/dev/null || groupdel "$user"
  echo "removed user and group $user"
}

# All of it has been read before it runs: a text that was cut off does nothing.
main() {
  keep='' purge='' podman='' running=''
  for option; do
    case $option in
      --keep-topology) keep=yes ;;
      --purge) purge=yes ;;
      *) fail "$option is none of --keep-topology and --purge" ;;
    esac
  done
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  [ "$(id -u)" = 0 ] || fail "only root can remove it: decnet-agent print uninstall | sudo sh"
  why=$(obstacle)
  [ -z "$why" ] || fail "$why"
  if systemd is-active decnet-agent; then
    systemd stop decnet-agent
    running=yes
  fi
  # The master may have pushed one before the agent was stopped.
  why=$(obstacle)
  if [ -n "$why" ]; then
    [ -z "$running" ] || systemd start decnet-agent
    fail "$why"
  fi

  remove_metrics
  remove /etc/cron.d/decnet-agent
  remove_units
  remove_user
  remove /usr/local/share/man/man1/decnet-agent.1 /etc/bash_completion.d/decnet-agent
  # They may be anywhere, also where other files are; the usual ones follow.
  sed -n 's/^ *\(state\|agent\)-dir *= */left alone: /p' "$config" 2>/dev/null |
    grep -vx -e "left alone: $certificates" -e "left alone: $state" || :
  if [ -n "$purge" ]; then
    remove "$config" "$certificates" "$state"
  else
    echo "kept $config, $certificates and $state, which are root's now"
  fi
  rmdir /usr/local/share/man/man1 /etc/bash_completion.d /etc/decnet 2>/dev/null || :
  remove "$installed" "$installed.previous"
}

main "$@" </dev/null
