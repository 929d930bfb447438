# shellcheck shell=bash disable=SC2034
# A MongoDB-compatible stand-in, secantusd-rs of the crate secantus-mdb: Debian has no MongoDB. It is a program of its
# own under GPL-2.0, never linked. With Docker it is MongoDB itself. README says what the stand-in lacks.

SECANTUS=0.5.3-beta.196

mongodb_packages() {
  printf 'cmake make g++'
}

mongodb_program() {
  printf '%s/secantus-mdb-%s/bin/secantusd-rs' "$CACHE" "$SECANTUS"
}

mongodb_installed() {
  [ -x "$(mongodb_program)" ]
}

mongodb_lacks() {
  if has cargo && has cmake; then
    printf 'its stand-in could not be built, see %s' "$CACHE/secantus-mdb-$SECANTUS.log"
  else
    printf 'its stand-in needs cargo and cmake to be built'
  fi
}

# Builds the stand-in, once, outside of the target directory: it takes 5 to 10 minutes on two cores. It claims to need a
# newer compiler than it does.
mongodb_build() {
  local root
  root=$CACHE/secantus-mdb-$SECANTUS
  has cargo && has cmake || return 1
  say "building the MongoDB stand-in secantus-mdb $SECANTUS once, 5 to 10 minutes; its log: $root.log"
  if timeout 3600 cargo install secantus-mdb --version "$SECANTUS" --locked --ignore-rust-version \
    --root "$root" --target-dir "$root/build" >"$root.log" 2>&1; then
    rm -rf "$root/build"
  else
    tail -n 20 "$root.log" >&2
    return 1
  fi
}

mongodb_prepare() {
  mkdir "$SET/$1/data"
}

# Without --sync-on-commit it loses acknowledged writes when it is killed.
mongodb_command() {
  COMMAND=("$(mongodb_program)" --port "$(port_of "$1")" --storage-path "$SET/$1/data" --cache-size 64M
    --log-file-max 16MB --sync-on-commit)
}

# Sends {hello: 1, $db: "admin"} and waits for the first byte of an answer; there is no shell for it on Debian.
mongodb_ready() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$(port_of "$1")" || exit 1
    # shellcheck disable=SC2016
    printf '%b' '\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0' \
      '\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0' >&3
    LC_ALL=C IFS= read -r -t 2 -N 1 -u 3
  ) 2>/dev/null
}

mongodb_stop_signal() {
  printf 'TERM'
}

mongodb_publish() {
  publish CARILLON_TEST_MONGODB_URL "mongodb://127.0.0.1:$(port_of "$1")/?directConnection=true"
}

# A database is made by its first document. One who logs in does so at the database of the URL, unless it is said.
mongodb_make_database() {
  local url
  url=$(with_database "$1" "$2")
  split_url "$1" 27017
  case $QUERY in *authSource=*) USER_NAME='' ;; esac
  if [ -n "$USER_NAME" ]; then
    case $url in *\?*) url="$url&" ;; *) url="$url?" ;; esac
    url="${url}authSource=${DATABASE:-admin}"
  fi
  printf '%s' "$url"
}

mongodb_drop_database() {
  mongosh --quiet "$2" --eval 'db.dropDatabase()'
}
