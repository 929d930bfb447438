# shellcheck shell=bash disable=SC2034
# The environment that the command finds, and the URLs in it.

# Exports NAME=VALUE, and notes it in the set's file for those who are not children of this process.
publish() {
  export "$1=$2"
  printf '%s=%s\n' "$1" "$2" >>"$SET/env"
}

# The variable with the administrator's URL of a kind of server.
url_variable() {
  printf 'CARILLON_TEST_%s_URL' "${1^^}"
}

# The administrator's URL of a kind; empty where it cannot be had.
url_of() {
  local variable
  variable=$(url_variable "$1")
  contains "$1" "${WANTED[@]}" && printf '%s' "${!variable:-}"
}

# Says that a kind of server is not there, and why; a test that needs it skips itself by name.
leave_out() {
  local kind=$1 reason=$2
  say "$kind is left out: $reason"
  unset "$(url_variable "$kind")"
  publish "CARILLON_TEST_${kind^^}_MISSING" "$reason"
}

# Splits a URL into USER_NAME, PASSWORD (both decoded), HOST, PORT (or the default given), DATABASE and QUERY.
split_url() {
  local rest=${1#*://} authority credentials=''
  QUERY='' DATABASE=''
  case $rest in *\?*) QUERY=${rest#*\?} rest=${rest%%\?*} ;; esac
  authority=${rest%%/*}
  case $rest in */*) DATABASE=${rest#*/} ;; esac
  case $authority in *@*) credentials=${authority%@*} authority=${authority##*@} ;; esac
  USER_NAME=$(decoded "${credentials%%:*}")
  case $credentials in *:*) PASSWORD=$(decoded "${credentials#*:}") ;; *) PASSWORD='' ;; esac
  HOST=${authority%:*} PORT=$2
  [ "$HOST" = "$authority" ] || PORT=${authority##*:}
}

# Undoes percent-encoding.
decoded() {
  printf '%b' "${1//%/\\x}"
}

# The URL with another database in it; user, hosts and options stay.
with_database() {
  local url=$1 name=$2 rest query=''
  rest=${url#*://}
  case $rest in *\?*) query="?${rest#*\?}" rest=${rest%%\?*} ;; esac
  printf '%s://%s/%s%s' "${url%%://*}" "${rest%%/*}" "$name" "$query"
}

# Makes empty databases for this run on each server that is there, and points the program's settings at them.
make_databases() {
  local kind name url
  name=carillon_$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
  for kind in "${WANTED[@]}"; do
    [ -n "$(url_of "$kind")" ] || continue
    if url=$("${kind}_make_database" "$(url_of "$kind")" "$name" 2>"$SET/error"); then
      printf '%s %s\n' "$kind" "$url" >>"$SET/databases"
      publish_stores "$kind" "$url"
    else
      say "no empty database on $kind for this run: $(tr '\n' ' ' <"$SET/error")"
    fi
  done
}

# Points the settings that one kind of server holds at a database.
publish_stores() {
  case $1 in
    mysql) publish CARILLON_ACCOUNTS__URL "$2" ;;
    mongodb) publish CARILLON_EVENTS__URL "$2"; publish CARILLON_CONTENT__URL "$2" ;;
    postgres) publish CARILLON_ANALYTICS__URL "$2" ;;
    redis) publish CARILLON_REALTIME__URL "$2" ;;
  esac
}

# Drops the databases of this run that are on servers that go on without it.
drop_databases() {
  local kind url
  [ -e "$SET/databases" ] || return 0
  while read -r kind url; do
    [ -e "$SET/given/$kind" ] || continue
    "${kind}_drop_database" "$(<"$SET/given/$kind")" "$url" >/dev/null 2>&1 \
      || say "the database of this run is still on the $kind server that was given"
  done <"$SET/databases"
}
