#!/bin/bash
# Starts MongoDB as a member of a replica set with logins. Members prove to each other with a key who they are; this one
# is alone, so it makes a new key at each start. With more members, give all of them the same file instead.
set -eu
key=/tmp/replica.key
rm -f "$key"
(umask 377 && head -c 512 /dev/urandom | base64 -w 0 >"$key")
chown mongodb:mongodb "$key"
exec docker-entrypoint.sh "$@" --keyFile "$key"
