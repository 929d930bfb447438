# shellcheck shell=bash
# One server of a set, in the directory of its name: data/, log, port, and pid while it was started. The name begins with
# its kind: redis, redis-replica, redis-cluster-1. Each kind has functions KIND_prepare (data), KIND_command (fills
# COMMAND), KIND_ready, KIND_publish and KIND_stop_signal.

READY_MS=30000
STOP_MS=15000

kind_of() {
  printf '%s' "${1%%-*}"
}

port_of() {
  printf '%s' "$(<"$SET/$1/port")"
}

units_of_set() {
  local port
  for port in "$SET"/*/port; do
    [ ! -e "$port" ] || basename "$(dirname "$port")"
  done
}

# A port of loopback that nobody listens on, below those that outgoing connections take.
free_port() {
  local port
  while
    port=$((10000 + RANDOM % 20000))
    listens "$port"
  do :; done
  printf '%s' "$port"
}

listens() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# When a process began: with it a process id means one process. Empty when there is none, or when it only waits for
# its parent to notice its end.
began() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  # The name in parentheses may hold spaces; after it stands the state, and 19 fields later the start.
  read -ra stat <<<"${stat##*) }"
  [ "${stat[0]}" = Z ] || printf '%s' "${stat[19]}"
}

# The process id of a server that runs; fails when it does not.
pid_of() {
  local pid since
  [ -e "$SET/$1/pid" ] && read -r pid since <"$SET/$1/pid" && [ -n "$since" ] && [ "$(began "$pid")" = "$since" ] && printf '%s' "$pid"
}

# Closes every file but the standard ones. A server that held the guard's pipe, or a pipe of a test that starts it again,
# would keep its reader waiting for ever.
close_inherited() {
  local file
  for file in "/proc/$BASHPID/fd/"*; do
    file=${file##*/}
    [ "$file" -le 2 ] || eval "exec $file>&-"
  done
}

# Starts the process of a server on the data and the port that it has. The session of its own keeps Ctrl-C from it.
launch() {
  local unit=$1 pid
  local -a COMMAND
  "$(kind_of "$unit")_command" "$unit"
  (
    close_inherited
    cd / && exec setsid "${COMMAND[@]}" </dev/null >>"$SET/$unit/log" 2>&1
  ) &
  pid=$!
  printf '%s %s\n' "$pid" "$(began "$pid")" >"$SET/$unit/pid"
}

# Waits until a server answers; fails when its process ends or the deadline passes.
await_ready() {
  local unit=$1 deadline
  deadline=$(($(now_ms) + READY_MS))
  until "$(kind_of "$unit")_ready" "$unit"; do
    pid_of "$unit" >/dev/null || { printf 'it ended by itself'; return 1; }
    [ "$(now_ms)" -lt "$deadline" ] || { printf 'it did not answer within %s s' "$((READY_MS / 1000))"; return 1; }
    sleep 0.03
  done
}

# Prepares and starts one server. Somebody else may take the free port first; then it takes another one.
bring_up() {
  local unit=$1 kind problem
  kind=$(kind_of "$unit")
  mkdir "$SET/$unit" && : >"$SET/$unit/log" || return 1
  if ! "${kind}_prepare" "$unit" >>"$SET/$unit/log" 2>&1; then
    printf 'its data directory could not be made' >"$SET/$unit/problem"
    return 1
  fi
  for _ in 1 2 3; do
    free_port >"$SET/$unit/port"
    launch "$unit"
    problem=$(await_ready "$unit") && return 0
    discard "$unit"
    grep -qi 'address already in use' "$SET/$unit/log" || break
  done
  printf '%s' "$problem" >"$SET/$unit/problem"
  return 1
}

# Starts servers at the same time. One that does not come up is shown with the end of its log, and left out.
bring_up_all() {
  local unit start_ms up=()
  start_ms=$(now_ms)
  for unit in "$@"; do
    bring_up "$unit" &
    printf '%s\n' "$!" >"$SET/starting-$unit"
  done
  for unit in "$@"; do
    if wait "$(<"$SET/starting-$unit")"; then up+=("$unit"); else show_failed "$unit"; fi
    rm -f "$SET/starting-$unit"
  done
  say "started ${up[*]:-nothing} in $(($(now_ms) - start_ms)) ms"
}

show_failed() {
  local unit=$1
  : >"$SET/keep-logs"
  [ -s "$SET/$unit/problem" ] || printf 'it could not be started' >"$SET/$unit/problem"
  say "$unit: $(<"$SET/$unit/problem"); its log ends:"
  tail -n 20 "$SET/$unit/log" >&2
}

# Publishes a server that came up, or leaves it out.
publish_unit() {
  local unit=$1
  if [ -e "$SET/$unit/problem" ]; then
    leave_out "${unit//-/_}" "$(<"$SET/$unit/problem")"
  else
    "$(kind_of "$unit")_publish" "$unit"
  fi
}

# A server's process and its children, which PostgreSQL has one a connection. A child that ended is not found.
processes_of() {
  local pid
  pid=$(pid_of "$1") || return 0
  printf '%s ' "$pid"
  cat "/proc/$pid/task/$pid/children" 2>/dev/null
}

# Sends a signal to a server with its children.
signal_all() {
  local signal=$1 unit=$2 pids
  read -ra pids <<<"$(processes_of "$unit")"
  [ ${#pids[@]} -eq 0 ] || kill "-$signal" "${pids[@]}" 2>/dev/null
  return 0
}

# Waits until a server's process is gone; fails after the deadline.
await_gone() {
  local unit=$1 deadline
  deadline=$(($(now_ms) + STOP_MS))
  while pid_of "$unit" >/dev/null; do
    [ "$(now_ms)" -lt "$deadline" ] || return 1
    sleep 0.02
  done
  rm -f "$SET/$unit/pid"
}

# Stops a server in order, also one that is paused; kills it when it does not stop.
stop_unit() {
  local unit=$1 pid
  if pid=$(pid_of "$unit"); then
    signal_all CONT "$unit"
    kill "-$("$(kind_of "$unit")_stop_signal")" "$pid" 2>/dev/null
  fi
  await_gone "$unit" || kill_unit "$unit"
}

# Ends a server as a crash would, in the middle of what it does.
kill_unit() {
  local pid deadline
  pid=$(pid_of "$1")
  signal_all KILL "$1"
  await_gone "$1" || return 1
  # Until its parent has noticed its end, PostgreSQL takes it for running and does not start beside it.
  deadline=$(($(now_ms) + STOP_MS))
  while [ -n "$pid" ] && [ -e "/proc/$pid" ] && [ "$(now_ms)" -lt "$deadline" ]; do sleep 0.02; done
}

# Ends a server whose data nobody wants any more. PostgreSQL is stopped all the same: killed, it leaves shared memory.
discard() {
  if [ "$(kind_of "$1")" = postgres ]; then
    stop_unit "$1"
    postgres_free_memory "$1"
  else
    kill_unit "$1"
  fi
}
