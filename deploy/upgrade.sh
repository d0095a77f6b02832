#!/bin/sh
# Replaces what `docker compose up` runs by what the images and this tree are now, without a failed request.
#
#   docker compose build && deploy/upgrade.sh        or, with images that were built elsewhere:  IMAGE=… deploy/upgrade.sh
#
# Each step leaves something that serves, old and new side by side; whatever step fails, mend it and run this again.
# PostgreSQL and the proxy are left as they are.
set -eu
cd "$(dirname "$0")/.."

say() { echo "upgrade: $*" >&2; }

# Twice as many of a service, the old ones and new ones, which are healthy when this returns.
double() {
    docker compose up --detach --wait --no-deps --no-recreate --scale "$1=$(($(echo "$2" | wc -w) * 2))" "$1"
}

# No --time: the service's stop_grace_period holds. What is stopped finishes its requests, and says so to the proxy first.
remove() {
    echo "$1" | xargs -n 1 docker stop >/dev/null
    echo "$1" | xargs docker rm >/dev/null
}

say "roles, then migrations: the old program goes on with what they add"
docker compose run --rm --no-deps -T provision
docker compose run --rm --no-deps -T migrate

say "read models of the new version, beside those that the old one reads and keeps up"
docker compose run --rm --no-deps -T projector rebuild --if-changed

say "projectors: new ones beside the old ones, each for its own version"
projectors=$(docker compose ps --quiet projector)
double projector "$projectors"

say "API: new replicas beside the old ones, which then leave"
old=$(docker compose ps --quiet api)
double api "$old"
remove "$old"

say "old projectors leave; what they kept up is removed when nobody reads it"
remove "$projectors"

say "done"
docker compose ps
