# shellcheck shell=bash
# What servers need before they start: their programs, and empty data directories.

# Installs what is missing for these kinds: packages with apt-get, for which one must be root, and the stand-in.
# One process at a time, for the package manager's and the cache's sake.
install_missing() {
  local missing=() kind
  for kind in "$@"; do
    "${kind}_installed" || missing+=("$kind")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  mkdir -p "$CACHE" || die 1 "$CACHE cannot be made"
  (
    flock 9
    install_packages "${missing[@]}"
    if contains mongodb "${missing[@]}" && ! mongodb_installed; then mongodb_build; fi
  ) 9>"$CACHE/servers.lock"
}

install_packages() {
  local packages=() kind log
  for kind in "$@"; do
    # A package that is there is not named again; mongodb needs tools, not a server.
    [ "$kind" = mongodb ] && has cmake && continue
    "${kind}_installed" && continue
    read -ra packages <<<"${packages[*]} $("${kind}_packages")"
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
    say "not root, or no apt-get: these packages are not installed: ${packages[*]}"
    return 1
  fi
  say "installing ${packages[*]}"
  log=$CACHE/servers-apt.log
  { timeout 300 apt-get update && DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -o DPkg::Lock::Timeout=120 \
    install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }
}

# Copies the template NAME of an empty data directory to a place; `make PLACE` makes the template on first use, which
# takes seconds where a copy takes a moment. It is kept with owner and mode, so it is the user's own.
copy_template() {
  local name=$1 place=$2 make=$3 template
  template=$CACHE/servers-data/$name-$(id -un)
  if [ ! -d "$template" ]; then
    mkdir -p "$CACHE/servers-data" || return 1
    # Made in place, because the cache may lie where the server's own user cannot go.
    "$make" "$place" || return 1
    cp -a "$place" "$template.$$" && { mv -T "$template.$$" "$template" 2>/dev/null || rm -rf "$template.$$"; }
    return 0
  fi
  cp -a --reflink=auto "$template" "$place"
}
