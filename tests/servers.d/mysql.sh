# shellcheck shell=bash disable=SC2034
# MariaDB, which speaks the MySQL protocol. With Docker it is MySQL itself.

mysql_packages() {
  printf 'mariadb-server'
}

mysql_installed() {
  has mariadbd && has mariadb-install-db && has mariadb
}

mysql_lacks() {
  printf 'mariadbd is not installed'
}

# root runs it as the user that the package made; anybody else as himself.
mysql_user() {
  if [ "$(id -u)" -eq 0 ]; then printf 'mysql'; else id -un; fi
}

mysql_prepare() {
  copy_template "mariadb-$(mariadbd --no-defaults --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)" \
    "$SET/$1/data" mysql_make_data
}

# Makes an empty data directory. Its default log of 96 MiB would be copied for every set.
mysql_make_data() {
  mariadb-install-db --no-defaults --user="$(mysql_user)" --datadir="$1" --auth-root-authentication-method=normal \
    --skip-test-db --innodb-log-file-size=16M
}

# Without the character set it is latin1, and an emoji fails.
mysql_command() {
  COMMAND=(mariadbd --no-defaults --user="$(mysql_user)" --datadir="$SET/$1/data"
    --bind-address=127.0.0.1 --port="$(port_of "$1")" --socket="$SET/$1/data/socket" --pid-file="$SET/$1/data/pid"
    --skip-name-resolve --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci
    --innodb-log-file-size=16M --max-connections=500)
}

mysql_ready() {
  mariadb-admin --no-defaults --user=root --host=127.0.0.1 --port="$(port_of "$1")" --connect-timeout=2 ping \
    >/dev/null 2>&1
}

mysql_stop_signal() {
  printf 'TERM'
}

mysql_publish() {
  publish CARILLON_TEST_MYSQL_URL "mysql://root@127.0.0.1:$(port_of "$1")"
}

# Runs one statement at an administrator's URL with whichever client is there.
mysql_run() {
  local client
  client=$(command -v mariadb || command -v mysql) || { echo 'neither mariadb nor mysql is installed' >&2; return 1; }
  split_url "$1" 3306
  MYSQL_PWD=$PASSWORD "$client" --no-defaults --connect-timeout=10 --user="${USER_NAME:-root}" --protocol=tcp \
    --host="$HOST" --port="$PORT" --execute="$2"
}

mysql_make_database() {
  mysql_run "$1" "CREATE DATABASE $2 CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" >&2 && with_database "$1" "$2"
}

mysql_drop_database() {
  split_url "$2" 3306
  mysql_run "$1" "DROP DATABASE $DATABASE"
}
