#!/bin/sh
# Restores the registry's database from its backups: see --help.
set -eu

usage() {
    cat <<'END'
Usage: deploy/backup/restore.sh [--at TIME] [--yes]

Restores PostgreSQL's data from the backups of the compose file's profile `backup`, into a new volume. The volume in use
is kept, untouched, until you remove it. Run it in the folder with docker-compose.yml.

  --at TIME   the time to restore to, with its zone: 2027-01-31T12:00:00Z. Without it, everything that was received.
              If nothing was written after that time, recovery ends before it: leave it out then.
  --yes       do not ask before services are stopped
  --help      this

What it does: stops the API, the projector, the proxy and PostgreSQL; restores; writes POSTGRES_VOLUME into .env; starts
PostgreSQL, which replays WAL; migrates; destroys again the keys of who was erased meanwhile (registry log erasures); and
verifies the log (registry verify). It starts neither API nor projector: that is for you, when you have read what it says.

Exits with 0 if all is in order, 1 if the restored log is not, 2 if it was used wrongly or could not restore.
END
}

fail() {
    echo "restore.sh: $1" >&2
    exit 2
}

at= yes=
while [ $# -gt 0 ]; do
    case $1 in
        --at) [ $# -ge 2 ] || fail "--at needs a time, such as 2027-01-31T12:00:00Z"; at=$2; shift ;;
        --at=*) at=${1#--at=} ;;
        --yes) yes=1 ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; fail "what is $1?" ;;
    esac
    shift
done
[ -f docker-compose.yml ] || fail "there is no docker-compose.yml here: run it in the folder that has it"
docker compose version >/dev/null 2>&1 || fail "docker compose cannot be run here"

project=$(docker compose config --format json | sed -n 's/^  "name": "\(.*\)",*$/\1/p')
[ -n "$project" ] || fail "docker compose config does not tell the project's name"
before=$(docker compose config --format json postgres | sed -n '/^    "postgres": {$/{n;s/^      "name": "\(.*\)",*$/\1/p}')
# One, or with deploy/ha/compose.yml all nodes and those through which they agree.
others=$(docker compose config --services | grep -E '^postgres-[0-9]+$' | tr '\n' ' ')
nodes="postgres $(docker compose config --services | grep -E '^etcd-[0-9]+$' | tr '\n' ' ')"
new=${project}_postgres_$(date -u +%Y%m%dT%H%M%SZ)

if [ -z "$yes" ]; then
    echo "The registry is stopped, and restored to ${at:-everything that was received} in the volume $new."
    printf 'Go on? [y/N] '
    read -r answer
    case $answer in y | Y | yes) ;; *) fail "nothing was done" ;; esac
fi

# Nothing is left of what was begun, and PostgreSQL comes up as it was.
give_up() {
    # shellcheck disable=SC2086 # names of services
    docker compose rm --stop --force $nodes $others >/dev/null
    docker volume ls --quiet --filter "name=^$new" | xargs -r docker volume rm >/dev/null
    fail "$1; the volume ${before:-of before} is as it was: docker compose --profile backup up --detach --wait"
}

# In PostgreSQL, as its administrator.
ask() {
    # shellcheck disable=SC2016 # for the container
    docker compose exec -T postgres sh -c 'PGPASSWORD=$(cat /run/secrets/password) exec psql -qAtU postgres -c "$1"' ask "$1"
}

docker compose stop proxy api projector
# What PostgreSQL sends when it stops is received: backups run until it has.
# shellcheck disable=SC2086 # as above
docker compose stop $nodes $others || fail "PostgreSQL cannot be stopped"
docker compose --profile backup stop backup
# Compose makes no new container just since a volume has another name.
# shellcheck disable=SC2086 # as above
docker compose rm --force $nodes $others >/dev/null

echo "Restoring into the volume $new."
export POSTGRES_VOLUME="$new"
docker compose --profile restore run --rm --no-deps -T restore restore ${at:+--at "$at"} || give_up "nothing was restored"

# Other nodes copy this one when it is done, and begin no cluster of their own.
# shellcheck disable=SC2086 # as above
docker compose up --detach --no-deps $nodes || give_up "PostgreSQL does not start"
postgres=$(docker compose ps --all --quiet postgres)
docker inspect --format '{{range .Mounts}}{{.Name}} {{end}}' "$postgres" | grep -qF "$new" ||
    give_up "PostgreSQL was started with another volume than $new"
# Replaying may take long, and PostgreSQL tells nobody when it is done: it is asked, unless it ended.
until ask 'SELECT pg_is_in_recovery()' 2>/dev/null | grep -q f; do
    if [ "$(docker inspect --format '{{.RestartCount}} {{.State.ExitCode}}' "$postgres")" != "0 0" ]; then
        docker compose logs --no-log-prefix postgres 2>&1 | grep FATAL | tail -n 3 >&2
        give_up "PostgreSQL ended while it replayed, see above"
    fi
    sleep 1
done
# shellcheck disable=SC2086 # as above
docker compose up --detach --wait --no-deps postgres $others ||
    fail "PostgreSQL has replayed, and is not well: POSTGRES_VOLUME=$new docker compose logs"
# On every node, so that none removes WAL that backups lack when it becomes the primary.
[ -z "$others" ] || docker compose exec -T postgres patronictl -c /tmp/patroni/patroni.yml edit-config --quiet --force \
    --set slots.registry_backup.type=physical
for setting in restore_command recovery_end_command recovery_target_time recovery_target_action recovery_target_timeline; do
    ask "ALTER SYSTEM RESET $setting"
done
touch .env
sed '/^POSTGRES_VOLUME=/d' .env > .env.restored
echo "POSTGRES_VOLUME=$new" >> .env.restored
mv .env.restored .env
docker compose run --rm -T --no-deps migrate || fail "the restored database cannot be migrated"
echo "Destroying again the keys of who was erased meanwhile:"
docker compose run --rm -T --no-deps registry log erasures || fail "what was erased is not destroyed again: do not start the API"
# By itself: that there is less than was signed is for whoever chose the time, below.
docker compose run --rm -T --no-deps --env REGISTRY_KEY_DIR=/nowhere registry verify && verified=0 || verified=$?

cat <<END

Restored into the volume $new, which .env names now. The one before, ${before:-named in docker volume ls}, is kept.
 1. Hold the log against what was signed: registry verify, and the last checkpoint that you kept: --against FILE.
 2. Start the registry and its backups: docker compose --profile backup up --detach --wait
    A base backup is taken at once; until it is complete, backup is not healthy.
If signing stops with log-rolled-back, entries that checkpoints vouch for are lost: docs/operations.md says what then.
END
exit "$verified"
