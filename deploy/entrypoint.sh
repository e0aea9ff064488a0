#!/bin/sh
# Starts a part with its secrets and its instance: every file of the folder of secrets becomes a
# variable of its name (so nothing secret stands in a compose file or in a unit), and the
# dagster.yaml that is mounted becomes that of DAGSTER_HOME.
set -eu
umask 077

for secret in "${S3SYNC_SECRETS:-${CREDENTIALS_DIRECTORY:-/run/secrets}}"/*; do
  name="$(basename "$secret")"
  case "$name" in
    *[!A-Z0-9_]*) ;; # no variable: somebody else's
    *) if [ -f "$secret" ]; then export "$name=$(cat "$secret")"; fi ;;
  esac
done

instance="${S3SYNC_DAGSTER_YAML:-/etc/s3sync/dagster.yaml}"
if [ -n "${DAGSTER_HOME:-}" ] && [ -f "$instance" ]; then
  mkdir -p "$DAGSTER_HOME"
  cp "$instance" "$DAGSTER_HOME/.dagster.yaml.$$"
  mv "$DAGSTER_HOME/.dagster.yaml.$$" "$DAGSTER_HOME/dagster.yaml"
fi

exec "$@"
