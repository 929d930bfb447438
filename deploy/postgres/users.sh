#!/bin/bash
# Run once, when the volume is empty: the hub's user, who owns the hub's database and may not even connect to another.
# psql reads the password from the environment, so that no list of processes shows it.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
\getenv password HUB_POSTGRES_PASSWORD
CREATE ROLE carillon LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE DATABASE carillon OWNER carillon TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE carillon FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL
