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

# The containers of a service that are healthy; what is not, as a run that was interrupted left it, is removed.
serving() {
    for container in $(docker compose ps --all --quiet "$1"); do
        if [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; then
            echo "$container"
        else
            docker rm --force "$container" >/dev/null
        fi
    done
}

# New ones of a service beside the old ones, as many as it is to have, healthy when this returns. If they do not become
# so, they are removed when they have said why.
add() {
    replicas=$(docker compose config "$1" | awk -v name="  $1:" '$0 == name { found = 1 } found && $1 == "replicas:" { print $2; exit }')
    docker compose up --detach --wait --no-deps --no-recreate --scale "$1=$(($(echo "$2" | wc -w) + replicas))" "$1" && return
    say "the new ones of $1 are not healthy; the old ones go on"
    for container in $(docker compose ps --all --quiet "$1"); do
        case $2 in *"$container"*) continue ;; esac
        docker logs --tail 5 "$container" >&2
        docker rm --force "$container" >/dev/null
    done
    exit 1
}

# No --time: the service's stop_grace_period holds. What is stopped finishes its requests, and says so to the proxy first.
remove() {
    for container in $1; do
        docker stop "$container" >/dev/null
        docker rm "$container" >/dev/null
    done
}

say "roles, then migrations: the old program goes on with what they add"
docker compose run --rm --no-deps -T provision
docker compose run --rm --no-deps -T migrate

say "read models of the new version, beside those that the old one reads and keeps up"
docker compose run --rm --no-deps -T projector rebuild --if-changed

say "projectors: new ones beside the old ones, each for its own version"
projectors=$(serving projector)
add projector "$projectors"

say "API: new replicas beside the old ones, which then leave"
old=$(serving api)
add api "$old"
remove "$old"

say "old projectors leave; what they kept up is removed when nobody reads it"
remove "$projectors"

say "done"
docker compose ps
