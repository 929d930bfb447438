# shellcheck shell=bash
# What the scripts here have in common: builds, nodes, and what was measured on what. To be sourced from the root of the
# repository, with PROFILE and NODES set.

# Builds the node and the generator, in one go: each alone would be built with other features of what they share.
build_programs() {
  local build=(cargo build --workspace --locked)
  [ "$PROFILE" = debug ] || build+=(--release)
  "${build[@]}"
}

# Where the programs are.
programs() {
  printf '%s/%s' "${CARGO_TARGET_DIR:-target}" "$PROFILE"
}

# What was measured on what, as Markdown.
facts() {
  local revision
  revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
  git diff --quiet HEAD -- src Cargo.lock 2>/dev/null || revision="$revision with changes"
  printf -- '- %s, %s cores of %s, %s MiB of memory\n' "$(uname -sr)" "$(nproc)" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
  printf -- '- load average before: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
  printf -- '- Carillon %s, %s build, %s nodes; %s\n' "$revision" "$PROFILE" "$NODES" "$(rustc --version)"
  versions | sed 's/^/- /'
}

# The versions of the servers, as far as they were started here.
versions() {
  local servers=${CARILLON_TEST_SERVERS_DIR:-/nonexistent}
  [ ! -e "$servers/mysql" ] || mariadbd --no-defaults --version | sed 's/^.*Ver /MariaDB /'
  [ ! -e "$servers/mongodb" ] || echo 'a stand-in for MongoDB, secantusd-rs, with --sync-on-commit'
  [ ! -e "$servers/postgres" ] || psql --no-psqlrc -At "$CARILLON_TEST_POSTGRES_URL" -c 'SHOW server_version' \
    | sed 's/^/PostgreSQL /'
  [ ! -e "$servers/redis" ] || redis-server --version | grep -oE 'v=[0-9.]+' | sed 's/^v=/Redis /'
}

# The servers' processes, as --pid NAME=PID of each that was started here.
server_pids() {
  local unit pid
  [ -n "${CARILLON_TEST_SERVERS_CTL:-}" ] || return 0
  "$CARILLON_TEST_SERVERS_CTL" list | while read -r unit _ pid; do
    [ "$pid" = - ] || printf -- '--pid %s=%s ' "$unit" "$pid"
  done
}

# Waits until a node says where it listens.
address_of() {
  local log=$1 pid=$2
  for _ in $(seq 600); do
    if grep -qs '^listening on ' "$log.out"; then
      sed -n 's/^listening on //p' "$log.out"
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "a node does not start; its log ends:" >&2
  tail -n 20 "$log.err" >&2
  return 1
}

# Starts NODES nodes with $WORK/settings.toml; adds their processes to RUNNING, and to GIVEN what the generator is told of them.
start_nodes() {
  local number log address
  for number in $(seq "$NODES"); do
    log=$WORK/node-$number
    "$(programs)/carillon" serve --config "$WORK/settings.toml" --listen 127.0.0.1:0 --data "$log.data" \
      >"$log.out" 2>>"$log.err" &
    RUNNING+=($!)
    address=$(address_of "$log" $!)
    GIVEN+=(--node "$address" --pid "node-$number=$!")
  done
}

stop_nodes() {
  [ ${#RUNNING[@]} -eq 0 ] || { kill "${RUNNING[@]}" && wait "${RUNNING[@]}"; } 2>/dev/null || true
  RUNNING=()
}

# A node that warned has something to say about the figures.
tell_warnings() {
  local log
  for log in "$WORK"/*.err; do
    [ ! -s "$log" ] || { echo "$(basename "$log" .err) logged, at the end:"; tail -n 5 "$log"; } >&2
  done
}

# The one figure of this name in a file of figures.
figure() {
  sed -n "s/^ *\"$2\": \([0-9.]*\),\{0,1\}$/\1/p" "$1" | tail -n 1
}
