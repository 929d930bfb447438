# shellcheck shell=bash
# Servers of docker-compose.yml, where the repository has one and an engine answers. Its services mysql, mongodb, postgres
# and redis are started as a project of a name of its own, so the volumes are new and go with it; compose.yml beside this
# file lets the engine choose ports of loopback for them.

compose_answers() {
  [ -e "$REPOSITORY/docker-compose.yml" ] && has docker \
    && timeout 20 docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
}

compose() {
  docker compose --project-name "$(basename "$SET" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9')" \
    --env-file "$REPOSITORY/deploy/development.env" --file "$REPOSITORY/docker-compose.yml" \
    --file "$REPOSITORY/tests/servers.d/compose.yml" "$@" </dev/null
}

# Starts services, named as the kinds, and publishes the administrators' URLs of those that answer.
compose_up() {
  local kind
  printf '%s\n' "$*" >"$SET/compose"
  say "docker compose up: $*"
  if ! compose up --detach --wait --wait-timeout 600 "$@" >"$SET/compose.log" 2>&1; then
    tail -n 20 "$SET/compose.log" >&2
    for kind in "$@"; do leave_out "$kind" 'docker compose could not start it'; done
    return
  fi
  for kind in "$@"; do
    "compose_publish_$kind" || leave_out "$kind" 'docker compose does not say where it listens'
  done
}

compose_down() {
  compose down --volumes --timeout 2 >/dev/null 2>&1
}

# Where on loopback a service's port is.
compose_address() {
  local address
  address=$(compose port "$1" "$2" 2>/dev/null | head -n 1)
  [ -n "$address" ] && printf '%s' "$address"
}

# A variable of a service's container, or the file that NAME_FILE names, encoded for a URL.
compose_secret() {
  # shellcheck disable=SC2016
  encoded "$(compose exec -T "$1" sh -c 'eval "echo \"\${$0:-\$(cat \"\$$0_FILE\")}\""' "$2" 2>/dev/null)"
}

# Percent-encodes what has a meaning in URLs.
encoded() {
  local text=$1 at
  for ((at = 0; at < ${#text}; at++)); do
    case ${text:at:1} in
      [a-zA-Z0-9._~-]) printf '%s' "${text:at:1}" ;;
      *) printf '%%%02X' "'${text:at:1}" ;;
    esac
  done
}

compose_publish_mysql() {
  local address
  address=$(compose_address mysql 3306) || return 1
  publish CARILLON_TEST_MYSQL_URL "mysql://root:$(compose_secret mysql MYSQL_ROOT_PASSWORD)@$address"
}

compose_publish_postgres() {
  local address user
  address=$(compose_address postgres 5432) || return 1
  user=$(compose_secret postgres POSTGRES_USER)
  publish CARILLON_TEST_POSTGRES_URL \
    "postgres://${user:-postgres}:$(compose_secret postgres POSTGRES_PASSWORD)@$address/postgres"
}

compose_publish_mongodb() {
  local address user login=''
  address=$(compose_address mongodb 27017) || return 1
  user=$(compose_secret mongodb MONGO_INITDB_ROOT_USERNAME)
  [ -z "$user" ] || login=$user:$(compose_secret mongodb MONGO_INITDB_ROOT_PASSWORD)@
  publish CARILLON_TEST_MONGODB_URL "mongodb://$login$address/?directConnection=true"
}

compose_publish_redis() {
  local address password
  address=$(compose_address redis 6379) || return 1
  password=$(compose_secret redis REDIS_PASSWORD)
  publish CARILLON_TEST_REDIS_URL "redis://${password:+:$password@}$address"
}

# Whether a server of the set is a service of compose.
compose_has() {
  [ -e "$SET/compose" ] && grep -qw -- "${1:-none}" "$SET/compose"
}

# What ctl does, said to the engine.
compose_ctl() {
  case $1 in
    stop) compose stop "$2" ;;
    kill) compose kill "$2" ;;
    start) compose up --detach --wait --wait-timeout 60 --no-deps "$2" ;;
    restart) compose stop "$2" && compose_ctl start "$2" ;;
    pause) compose pause "$2" ;;
    resume) compose unpause "$2" ;;
    log) compose logs "$2" ;;
    *) die 2 "docker compose has no $1 for $2" ;;
  esac
}
