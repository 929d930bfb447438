#!/bin/bash
# Whether the node on this machine takes requests: asks /health/ready. The image has no curl, and bash can speak HTTP/1.1.
set -u
exec 3<>"/dev/tcp/127.0.0.1/${CARILLON_HTTP_SERVER__PORT:-8000}" || exit 1
printf 'GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 -u 3 _ status _ && [ "$status" = 200 ]
