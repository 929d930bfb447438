# shellcheck shell=bash
# Redis: the one server, a replica of it, and a cluster of three masters. Nothing is kept on disk: one that is started
# again is empty.

CLUSTER_UNITS=(redis-cluster-1 redis-cluster-2 redis-cluster-3)
SLOTS=('0 5460' '5461 10922' '10923 16383')

redis_packages() {
  printf 'redis-server'
}

redis_installed() {
  has redis-server && has redis-cli
}

redis_lacks() {
  printf 'redis-server is not installed'
}

redis_prepare() {
  mkdir "$SET/$1/data"
}

# A replica gets its first copy at once, not after the usual 5 s.
redis_command() {
  COMMAND=(redis-server --port "$(port_of "$1")" --bind 127.0.0.1 --dir "$SET/$1/data" --save '' --appendonly no
    --daemonize no --repl-diskless-sync-delay 0)
  case $1 in
    redis-replica)
      COMMAND+=(--replicaof "127.0.0.1 $(redis_primary_port)")
      ;;
    redis-cluster-*)
      [ -s "$SET/$1/bus" ] || free_port >"$SET/$1/bus"
      COMMAND+=(--cluster-enabled yes --cluster-port "$(<"$SET/$1/bus")" --cluster-node-timeout 2000)
      ;;
  esac
}

# The primary starts at the same time and may still look for its port.
redis_primary_port() {
  local deadline
  deadline=$(($(now_ms) + READY_MS))
  until redis_ready redis || [ "$(now_ms)" -ge "$deadline" ]; do sleep 0.03; done
  port_of redis
}

# Asks one server of the set.
redis_ask() {
  local unit=$1
  shift
  timeout 5 redis-cli -h 127.0.0.1 -p "$(port_of "$unit")" "$@" 2>/dev/null | tr -d '\r'
}

# A replica is ready when it has its copy.
redis_ready() {
  [ -s "$SET/$1/port" ] || return 1
  case $1 in
    redis-replica) [[ $(redis_ask "$1" INFO replication) == *master_link_status:up* ]] ;;
    *) [ "$(redis_ask "$1" PING)" = PONG ] ;;
  esac
}

redis_stop_signal() {
  printf 'TERM'
}

redis_publish() {
  case $1 in
    redis) publish CARILLON_TEST_REDIS_URL "redis://127.0.0.1:$(port_of "$1")" ;;
    redis-replica) publish CARILLON_TEST_REDIS_REPLICA_URL "redis://127.0.0.1:$(port_of "$1")" ;;
    redis-cluster-3) redis_publish_cluster ;;
  esac
}

# The cluster is there when all its masters are; the last of them makes it one.
redis_publish_cluster() {
  local unit url='' separator="?"
  for unit in "${CLUSTER_UNITS[@]}"; do
    if [ -e "$SET/$unit/problem" ]; then
      leave_out redis_cluster 'not all of its masters came up'
      return
    fi
    if [ -z "$url" ]; then
      url=redis-cluster://127.0.0.1:$(port_of "$unit")
    else
      url=$url${separator}node=127.0.0.1:$(port_of "$unit") separator='&'
    fi
  done
  if redis_join_cluster; then
    publish CARILLON_TEST_REDIS_CLUSTER_URL "$url"
  else
    leave_out redis_cluster 'its masters did not find each other'
  fi
}

# Shares the slots out and introduces the masters to each other. redis-cli --cluster create does it in some seconds.
redis_join_cluster() {
  local at unit first=${CLUSTER_UNITS[0]} deadline
  deadline=$(($(now_ms) + READY_MS))
  for at in "${!CLUSTER_UNITS[@]}"; do
    unit=${CLUSTER_UNITS[at]}
    # shellcheck disable=SC2086
    redis_ask "$unit" CLUSTER ADDSLOTSRANGE ${SLOTS[at]} >/dev/null
    redis_ask "$unit" CLUSTER SET-CONFIG-EPOCH "$((at + 1))" >/dev/null
    [ "$unit" = "$first" ] \
      || redis_ask "$unit" CLUSTER MEET 127.0.0.1 "$(port_of "$first")" "$(<"$SET/$first/bus")" >/dev/null
  done
  for unit in "${CLUSTER_UNITS[@]}"; do
    until [[ $(redis_ask "$unit" CLUSTER INFO) == *cluster_state:ok*cluster_size:3* ]]; do
      [ "$(now_ms)" -lt "$deadline" ] || return 1
      sleep 0.05
    done
  done
}

# Runs one command at a URL, in the database of its path. redis-cli cannot take a URL with a password and no user.
redis_run() {
  local url=$1 arguments
  shift
  split_url "$url" 6379
  arguments=(-h "$HOST" -p "$PORT" -n "${DATABASE:-0}")
  [ -z "$USER_NAME" ] || arguments+=(--user "$USER_NAME")
  [[ $url != rediss:* ]] || arguments+=(--tls)
  if [ -n "$PASSWORD" ]; then local -x REDISCLI_AUTH=$PASSWORD; fi
  timeout 10 redis-cli "${arguments[@]}" "$@"
}

# An own database on Redis is one of its numbers, the highest that holds nothing. Publications know no such numbers.
redis_make_database() {
  local used number
  has redis-cli || { echo 'redis-cli is not installed' >&2; return 1; }
  used=$(redis_run "$1" INFO keyspace 2>&1)
  [[ $used == *'# Keyspace'* ]] || { echo "$used" >&2; return 1; }
  for number in {15..1}; do
    if [[ $used != *db$number:* ]]; then
      with_database "$1" "$number"
      return
    fi
  done
  echo 'its databases 1 to 15 all hold something' >&2
  return 1
}

redis_drop_database() {
  [ "$(redis_run "$2" FLUSHDB)" = OK ]
}

# Cuts the replica off: it is a primary from now on, with what it has, and knows nothing of later writes.
redis_detach() {
  [ "$(redis_ask redis-replica REPLICAOF NO ONE)" = OK ] || die 1 'redis-replica does not answer'
}

# Kills the primary and lets the replica answer at the primary's port, as an address that moves would. The names move,
# too: `redis` is whoever answers at the port of CARILLON_TEST_REDIS_URL, `redis-replica` the one that was killed.
redis_fail_over() {
  local port replica_port
  port=$(port_of redis) replica_port=$(port_of redis-replica)
  redis_detach
  kill_unit redis || die 1 'redis does not end'
  [ "$(redis_ask redis-replica CONFIG SET port "$port")" = OK ] || die 1 "redis-replica cannot take the port $port"
  mv "$SET/redis" "$SET/was-redis" && mv "$SET/redis-replica" "$SET/redis" && mv "$SET/was-redis" "$SET/redis-replica"
  printf '%s' "$port" >"$SET/redis/port"
  printf '%s' "$replica_port" >"$SET/redis-replica/port"
}
