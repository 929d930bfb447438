# shellcheck shell=bash
# What is said, and small questions.

# Messages go to standard error: the command's own output stays as it is.
say() {
  printf 'servers: %s\n' "$*" >&2
}

# Ends the script with a status and a reason.
die() {
  local status=$1
  shift
  say "$@"
  exit "$status"
}

# Whether the first argument is among the others.
contains() {
  local wanted=$1 each
  shift
  for each in "$@"; do
    [ "$each" != "$wanted" ] || return 0
  done
  return 1
}

has() {
  command -v "$1" >/dev/null
}

# Milliseconds of a clock, for deadlines and for saying how long something took.
now_ms() {
  printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"
}
