-- What the migration runner keeps and asks. The table is readable by every role that may connect, so that
-- each process can see at its start whether the database is the one that it was made for.

-- name: become_owner
-- Act as the owner of this database, so that whoever migrates makes what belongs to it; null if the
-- current user is no member of it.
SELECT set_config('role', owner, false)
FROM (SELECT pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = current_database()) AS this
WHERE pg_has_role(current_user, owner, 'MEMBER');

-- name: try_lock
-- $1: the lock's number.
SELECT pg_try_advisory_lock($1);

-- name: lock_holder
-- Who holds the lock, as far as we may see. $1: the lock's number.
SELECT format('process %s (user %s, application %s, connected since %s)',
    l.pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), '?'), coalesce(a.backend_start::text, '?'))
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint;

-- name: prepare
CREATE SCHEMA IF NOT EXISTS migration;
CREATE TABLE IF NOT EXISTS migration.applied (
    version integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    milliseconds integer NOT NULL,
    CONSTRAINT applied_version_key PRIMARY KEY (version),
    CONSTRAINT applied_version_from_one CHECK (version >= 1),
    CONSTRAINT applied_sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$')
);
GRANT USAGE ON SCHEMA migration TO PUBLIC;
GRANT SELECT ON migration.applied TO PUBLIC;

-- name: is_prepared
SELECT to_regclass('migration.applied') IS NOT NULL;

-- name: applied
SELECT version, name, sha256 FROM migration.applied ORDER BY version;

-- name: lock_timeout
-- Waiting for a table's lock, a migration makes everybody who comes after it wait as well.
-- $1: how long at most, with its unit; for this transaction.
SELECT set_config('lock_timeout', $1, true);

-- name: record
-- $1: version, $2: name, $3: sha256 of the file, $4: how long it took.
INSERT INTO migration.applied (version, name, sha256, milliseconds) VALUES ($1, $2, $3, $4);
