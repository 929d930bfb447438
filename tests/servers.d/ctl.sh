# shellcheck shell=bash
# What a test does to the servers while they are in use.

ctl_usage() {
  cat <<'USAGE'
usage: $CARILLON_TEST_SERVERS_CTL VERB SERVER

  stop SERVER      stops it in order             start SERVER   starts it on its data and port; waits until it answers
  kill SERVER      SIGKILL, with its children    restart SERVER stop, then start
  pause SERVER     SIGSTOP, with its children    resume SERVER  SIGCONT
  detach redis-replica   the replica becomes a primary with what it has; later writes never reach it
  failover redis         kills the primary; the replica answers at the primary's port from then on
  log SERVER             the path of its log
  list                   the servers of this set, one a line: name, port, process id or -

SERVER is mysql, mongodb, postgres, redis, redis-replica or redis-cluster-1 to -3. Redis keeps nothing on disk: after
stop and start it is empty. stop, start, kill, pause and resume of what already is so are no error.
USAGE
}

# Writes the program that CARILLON_TEST_SERVERS_CTL names.
write_ctl() {
  printf '#!/bin/sh\nexec %q ctl %q "$@"\n' "$REPOSITORY/tests/servers" "$SET" >"$SET/ctl"
  chmod +x "$SET/ctl"
  publish CARILLON_TEST_SERVERS_CTL "$SET/ctl"
}

ctl() {
  [ $# -ge 2 ] || { ctl_usage >&2; exit 2; }
  open_set "$1"
  local verb=$2 unit=${3:-}
  if [ "$verb" = list ]; then
    ctl_list
    return
  fi
  if compose_has "$unit"; then
    compose_ctl "$verb" "$unit"
    return
  fi
  if [ -z "$unit" ] || [ ! -e "$SET/$unit/port" ]; then
    die 2 "this set has no server ${unit:-without a name}"
  fi
  case $verb in
    stop) stop_unit "$unit" || die 1 "$unit does not end" ;;
    kill) kill_unit "$unit" || die 1 "$unit does not end" ;;
    start) ctl_start "$unit" ;;
    restart) stop_unit "$unit" && ctl_start "$unit" ;;
    pause) signal_all STOP "$unit" ;;
    resume) signal_all CONT "$unit" ;;
    detach) [ "$unit" = redis-replica ] || die 2 'only redis-replica can be detached'; redis_detach ;;
    failover) [ "$unit" = redis ] || die 2 'only redis can fail over'; redis_fail_over ;;
    log) printf '%s\n' "$SET/$unit/log" ;;
    *) ctl_usage >&2; exit 2 ;;
  esac
}

ctl_start() {
  local unit=$1 problem
  pid_of "$unit" >/dev/null && return
  launch "$unit"
  problem=$(await_ready "$unit") || { tail -n 20 "$SET/$unit/log" >&2; die 1 "$unit: $problem"; }
}

ctl_list() {
  local unit
  for unit in $(units_of_set); do
    printf '%s %s %s\n' "$unit" "$(port_of "$unit")" "$(pid_of "$unit" || printf -- -)"
  done
}
