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

say "projectors: new ones stand by; read models are built beside the live ones, which the old ones keep up meanwhile"
old=$(docker compose ps --quiet projector)
double projector "$old"
docker compose run --rm --no-deps -T projector rebuild --if-changed
remove "$old"

say "API: new replicas beside the old ones, which then leave"
old=$(docker compose ps --quiet api)
double api "$old"
remove "$old"

say "done"
docker compose ps
