#!/bin/sh
# Fetches server/ into the current folder with sftp. Nothing of user/ is touched.
# Usage: sh server/scripts/pull.sh YOU@HOST [PORT]
set -eu
host=${1:?"usage: pull.sh YOU@HOST [PORT]"}
port=${2:-22}
printf 'get -rp server\n' | sftp -q -b - -P "$port" "$host" >/dev/null
if command -v duckdb >/dev/null 2>&1; then
  mkdir -p user/duckdb
  duckdb user/duckdb/analytics.duckdb <server/metadata/views.sql
fi
