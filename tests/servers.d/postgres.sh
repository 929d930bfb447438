# shellcheck shell=bash
# PostgreSQL.

postgres_packages() {
  printf 'postgresql'
}

# The directory with the server's programs, which Debian keeps off the PATH; the newest version wins.
postgres_bin() {
  local program
  program=$(find /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
  program=${program:-$(readlink -f "$(command -v postgres)")}
  [ -n "$program" ] && dirname "$program"
}

postgres_installed() {
  postgres_bin >/dev/null && has psql && has pg_isready
}

postgres_lacks() {
  printf 'postgres is not installed'
}

# Fills AS: it refuses to run as root, so root runs it as the user that the package made.
postgres_as() {
  AS=()
  [ "$(id -u)" -ne 0 ] || AS=(setpriv --reuid=postgres --regid=postgres --clear-groups)
}

postgres_prepare() {
  copy_template "postgres-$("$(postgres_bin)/postgres" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)" \
    "$SET/$1/data" postgres_make_data
}

postgres_make_data() {
  local AS
  postgres_as
  mkdir "$1" || return 1
  [ "$(id -u)" -ne 0 ] || chown postgres: "$1"
  "${AS[@]}" "$(postgres_bin)/initdb" -D "$1" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8
}

postgres_command() {
  local AS
  postgres_as
  COMMAND=("${AS[@]}" "$(postgres_bin)/postgres" -D "$SET/$1/data" -h 127.0.0.1 -p "$(port_of "$1")"
    -k "$SET/$1/data" -c max_connections=300 -c dynamic_shared_memory_type=mmap)
  [ -e "$SET/durable" ] || COMMAND+=(-c fsync=off -c full_page_writes=off -c synchronous_commit=off)
}

postgres_ready() {
  pg_isready -q -t 2 -h 127.0.0.1 -p "$(port_of "$1")"
}

# TERM would wait for every client to leave.
postgres_stop_signal() {
  printf 'INT'
}

# Frees the shared memory of one that was killed and not started again; its pid file is still there and names it.
postgres_free_memory() {
  local id
  id=$(awk 'NR == 7 { print $2 }' "$SET/$1/data/postmaster.pid" 2>/dev/null)
  [ -z "$id" ] || ipcrm -m "$id" 2>/dev/null
  return 0
}

postgres_publish() {
  publish CARILLON_TEST_POSTGRES_URL "postgres://postgres@127.0.0.1:$(port_of "$1")/postgres"
}

# Runs one statement at an administrator's URL.
postgres_run() {
  has psql || { echo 'psql is not installed' >&2; return 1; }
  PGCONNECT_TIMEOUT=10 psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$1" --command="$2"
}

postgres_make_database() {
  postgres_run "$1" "CREATE DATABASE $2 TEMPLATE template0 ENCODING 'UTF8'" >&2 && with_database "$1" "$2"
}

postgres_drop_database() {
  split_url "$2" 5432
  postgres_run "$1" "DROP DATABASE $DATABASE WITH (FORCE)"
}
