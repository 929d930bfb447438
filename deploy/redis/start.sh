#!/bin/sh
# Starts Redis with two users: the administrator (default), and the hub's, who reaches only the keys and channels that
# begin with `carillon:`, and has no command that looks at or harms what others keep here. Of the dangerous commands the
# hub needs INFO, by which its scripts tell one history of the server's data from another, and CONFIG GET, by which
# `carillon doctor` reads the eviction policy. The passwords are in a file, so that no list of processes shows them.
set -eu
users=/tmp/users.acl
(
  umask 077
  cat >"$users" <<ACL
user default on >$REDIS_PASSWORD ~* &* +@all
user carillon on >$HUB_REDIS_PASSWORD resetkeys ~carillon:* resetchannels &carillon:* -@all +@all -@admin -@dangerous +info +config|get
ACL
)
chown redis:redis "$users"
# Nothing may be evicted: what the hub keeps here it may rebuild, but not miss in part. The file keeps histories and
# counts over a restart; without it the hub rebuilds them from the log.
exec docker-entrypoint.sh redis-server --aclfile "$users" --dir /data \
  --maxmemory "$REDIS_MAXMEMORY" --maxmemory-policy noeviction \
  --appendonly yes --appendfsync everysec --save ''
