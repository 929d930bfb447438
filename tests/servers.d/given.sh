# shellcheck shell=bash
# Servers that somebody else runs. They are used as they are; only the databases of this run are made, and dropped.

given() {
  local variable
  variable=$(url_variable "$1")
  [ -n "${!variable:-}" ]
}

# Takes the URL of the environment, which the set notes for those who are not children of this process.
take_given() {
  local variable
  variable=$(url_variable "$1")
  printf '%s' "${!variable}" >"$SET/given/$1"
  publish "$variable" "${!variable}"
}
