#!/bin/sh
# Restores the registry's database from its backups: see --help.
set -eu

usage() {
    cat <<'END'
Usage: deploy/backup/restore.sh [--at TIME] [--yes]

Restores PostgreSQL's data from the backups of the compose file's profile `backup`, into a new volume. The volume in use
is kept, untouched, until you remove it. Run it in the folder with docker-compose.yml.

  --at TIME   the time to restore to, with its zone: 2027-01-31T12:00:00Z. Without it, everything that was received.
              PostgreSQL does not start if nothing was written after that time: leave it out then.
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
before=$(docker compose config --format json postgres | sed -n "s/^      \"name\": \"\(${project}_postgres[^\"]*\)\",*\$/\1/p" | head -n 1)
new=${project}_postgres_$(date -u +%Y%m%dT%H%M%SZ)

if [ -z "$yes" ]; then
    echo "The registry is stopped, and restored to ${at:-everything that was received} in the volume $new."
    printf 'Go on? [y/N] '
    read -r answer
    case $answer in y | Y | yes) ;; *) fail "nothing was done" ;; esac
fi

docker compose stop proxy api projector
# What PostgreSQL sends when it stops is received: backups run until it has.
docker compose stop postgres || fail "PostgreSQL cannot be stopped"
docker compose --profile backup stop backup

echo "Restoring into the volume $new."
if ! POSTGRES_VOLUME=$new docker compose --profile restore run --rm --no-deps -T restore restore ${at:+--at "$at"}; then
    docker volume rm "$new" >/dev/null 2>&1 || true
    fail "nothing was restored; the volume ${before:-of before} is as it was: docker compose --profile backup up --detach"
fi

export POSTGRES_VOLUME="$new"
# Compose makes no new container just since a volume has another name.
docker compose up --detach --wait --no-deps --force-recreate postgres ||
    fail "PostgreSQL does not start: POSTGRES_VOLUME=$new docker compose logs postgres; .env still names the volume of before"
docker inspect --format '{{range .Mounts}}{{.Name}} {{end}}' "$(docker compose ps --quiet postgres)" | grep -qF "$new" ||
    fail "PostgreSQL was started with another volume than $new"
# Replaying may take long, and PostgreSQL tells nobody when it is done: it is asked, for as long as it runs.
until docker compose exec -T postgres psql -qAtU postgres -c 'SELECT pg_is_in_recovery()' | grep -q f; do
    [ -n "$(docker compose ps --status running --quiet postgres)" ] ||
        fail "PostgreSQL ended while it replayed: POSTGRES_VOLUME=$new docker compose logs postgres; .env still names the volume of before"
    sleep 1
done
for setting in restore_command recovery_end_command recovery_target_time recovery_target_action recovery_target_timeline; do
    docker compose exec -T postgres psql -qU postgres -c "ALTER SYSTEM RESET $setting"
done
touch .env
sed '/^POSTGRES_VOLUME=/d' .env > .env.restored
echo "POSTGRES_VOLUME=$new" >> .env.restored
mv .env.restored .env
docker compose run --rm -T --no-deps migrate || fail "the restored database cannot be migrated"
echo "Destroying again the keys of who was erased meanwhile:"
docker compose run --rm -T --no-deps registry log erasures || fail "what was erased is not destroyed again: do not start the API"
docker compose run --rm -T --no-deps registry verify && verified=0 || verified=$?

cat <<END

Restored into the volume $new, which .env names now. The one before, ${before:-named in docker volume ls}, is kept.
 1. Hold the log against the last checkpoint that you kept: registry verify --against FILE.
 2. Start the registry and its backups: docker compose --profile backup up --detach --wait
 3. Take a base backup: docker compose exec backup backup now
If signing stops with log-rolled-back, entries that checkpoints vouch for are lost: docs/operations.md says what then.
END
exit "$verified"
