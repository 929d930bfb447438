# shellcheck shell=bash
# A set of servers is a directory: env, ctl, and one directory a server (see units.sh). Who holds the directory can stop
# exactly what was started.
#
# A set of `run` is guarded: a process of ours waits at a pipe that only this script holds open, and tears the set down
# when the script ends, however it ends; SIGKILL, too.

SET=''

# Makes an empty set in a temporary directory and its guard.
make_guarded_set() {
  SET=$(mktemp -d "${TMPDIR:-/tmp}/carillon-servers.XXXXXX") || exit 1
  prepare_set
  mkfifo "$SET/guarded" || exit 1
  guard <"$SET/guarded" >&2 &
  GUARD_PID=$!
  exec {GUARD}>"$SET/guarded"
  trap 'let_guard_end $?' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# Makes an empty set that stays until `stop`, or until the `run` around this command ends.
make_set_at() {
  { mkdir -p "$(dirname "$1")" && mkdir "$1"; } || die 1 "$1 cannot be made; it must not exist"
  SET=$(cd "$1" && pwd) || exit 1
  prepare_set
  if [ -e "${CARILLON_TEST_SERVERS_DIR:-/nonexistent}/set" ]; then
    printf '%s\n' "$SET" >>"$CARILLON_TEST_SERVERS_DIR/started"
  fi
}

# The servers' users must be able to reach their data.
prepare_set() {
  { chmod 755 "$SET" && : >"$SET/set" && : >"$SET/env" && mkdir "$SET/given"; } || die 1 "cannot write into $SET"
  ! $DURABLE || : >"$SET/durable"
}

# Takes a directory that holds a set, and nothing else.
open_set() {
  [ -f "$1/set" ] || die 2 "$1 holds no servers"
  SET=$(cd "$1" && pwd) || exit 1
}

# Runs beside the script and outlives it: signals to the whole group must not end it.
guard() {
  trap '' HUP INT TERM
  cat >/dev/null
  remove_set
}

let_guard_end() {
  local status=$1
  trap '' HUP INT TERM
  [ "$status" -eq 0 ] || : >"$SET/keep-logs"
  exec {GUARD}>&-
  wait "$GUARD_PID"
  exit "$status"
}

# Stops everything of a set and removes it.
remove_set() {
  local unit started
  if [ -e "$SET/started" ]; then
    while read -r started; do
      [ ! -f "$started/set" ] || "$REPOSITORY/tests/servers" stop "$started"
    done <"$SET/started"
  fi
  drop_databases
  [ ! -e "$SET/compose" ] || compose_down
  for unit in $(units_of_set); do
    discard "$unit" &
  done
  wait
  [ ! -e "$SET/keep-logs" ] || keep_logs
  rm -rf "$SET"
}

# Keeps the logs of a failed run in the cache for a week.
keep_logs() {
  local kept unit
  kept=$CACHE/servers-logs
  mkdir -p "$kept" || return
  find "$kept" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} +
  kept=$kept/$(basename "$SET")
  for unit in $(units_of_set); do
    mkdir -p "$kept" && cp "$SET/$unit/log" "$kept/$unit.log"
  done
  [ ! -d "$kept" ] || say "logs of the servers: $kept"
}

# Runs the command with the environment of the set, hands on INT, TERM and HUP, and ends with its status.
# A command in the background of a script ignores INT, which env undoes; so it ends with Ctrl-C as any command.
run_command() {
  local status child signal interrupted
  env --default-signal=INT,QUIT "$@" <&0 {GUARD}>&- &
  child=$!
  for signal in HUP INT TERM; do
    # shellcheck disable=SC2064
    trap "interrupted=true; kill -$signal $child 2>/dev/null" "$signal"
  done
  while
    interrupted=false status=0
    wait "$child" || status=$?
    $interrupted
  do :; done
  exit "$status"
}
