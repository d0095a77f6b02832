-- What an administrator's connection asks of PostgreSQL to make room for a registry. Names and passwords
-- cannot be parameters of such statements: PostgreSQL itself puts them together (format, %I and %L).

-- name: lock
-- One at a time in a cluster; held until the connection ends. $1: the lock's number.
SELECT pg_advisory_lock($1);

-- name: create_database
-- The statement that makes a database which compares by code point, wherever it is; null if there is
-- one of that name. Letters have case beyond ASCII from PostgreSQL 17 on. $1: its name.
SELECT format(
    'CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C'' LC_CTYPE ''C''%s',
    $1::text,
    CASE WHEN current_setting('server_version_num')::integer >= 170000
        THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8''' ELSE ' LOCALE_PROVIDER libc' END
)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = $1::text);

-- name: create_login
-- The statements, in order, that make a login which acts as a group role from the start, or bring an
-- existing one to that. $1: login, $2: group role, $3: its password, or null to leave it as it is.
SELECT statement
FROM (VALUES
    (1, CASE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text)
        THEN format('CREATE ROLE %I LOGIN', $1::text) END),
    (2, CASE WHEN $3::text IS NOT NULL THEN format('ALTER ROLE %I PASSWORD %L', $1::text, $3::text) END),
    (3, format('GRANT %I TO %I', $2::text, $1::text)),
    (4, format('ALTER ROLE %I SET role = %L', $1::text, $2::text))
) AS steps (step, statement)
WHERE statement IS NOT NULL
ORDER BY step;

-- name: create_backup_login
-- The statements, in order, that make a login for backups, or bring an existing one to that: it reads the cluster as
-- PostgreSQL replicates it, so it is no superuser and a member of no role of the registry. Functions are granted in the
-- database that they are called in. $1: login, $2: its password.
SELECT statement
FROM (VALUES
    (1, CASE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text)
        THEN format('CREATE ROLE %I LOGIN REPLICATION', $1::text) END),
    (2, format('ALTER ROLE %I REPLICATION PASSWORD %L', $1::text, $2::text)),
    (3, format('GRANT pg_read_all_settings, pg_read_all_stats, pg_checkpoint TO %I', $1::text)),
    (4, format('GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(), '
        || 'pg_create_restore_point(text) TO %I', $1::text))
) AS steps (step, statement)
WHERE statement IS NOT NULL
ORDER BY step;
