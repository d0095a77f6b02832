-- What a doctor asks of PostgreSQL. Whatever may ask: the service's role, and for what only a monitor sees, one that is
-- a member of pg_monitor.

-- name: server
-- What the server is, and the settings that durability and form depend on, as they hold for this session.
SELECT current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    getdatabaseencoding()::text AS encoding,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only;

-- name: role
-- Who this session is, and what any role that its user may act as could do beyond the service's work.
SELECT current_user::text AS acts_as,
    session_user::text AS login,
    array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE r.rolsuper) AS superusers,
    array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE r.rolcreaterole OR r.rolreplication OR r.rolbypassrls)
        AS strong,
    array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('log', 'vault', 'access') AND c.relowner = r.oid
    ) OR EXISTS (SELECT FROM pg_database AS d WHERE d.datname = current_database() AND d.datdba = r.oid)) AS owners,
    array_agg(r.rolname::text ORDER BY r.rolname) FILTER (WHERE r.rolname IN (
        'pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program'
    )) AS writers,
    coalesce(bool_or(has_parameter_privilege(r.oid, 'session_replication_role', 'SET')), false) AS silences_triggers
FROM pg_roles AS r
WHERE pg_has_role(session_user, r.oid, 'MEMBER');

-- name: tables
-- What the role that this session acts as has, and what any role has that its user may act as, for each table of the
-- schemas that are not built anew; '(columns)' is behind a privilege on some columns only.
SELECT n.nspname || '.' || c.relname AS name,
    ARRAY(
        SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
        WHERE has_table_privilege(current_user, c.oid, p)
        UNION ALL
        SELECT p || ' (columns)' FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p
        WHERE has_any_column_privilege(current_user, c.oid, p) AND NOT has_table_privilege(current_user, c.oid, p)
    ) AS held,
    ARRAY(
        SELECT DISTINCT p FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p, pg_roles AS r
        WHERE pg_has_role(session_user, r.oid, 'MEMBER') AND has_table_privilege(r.oid, c.oid, p)
        ORDER BY p
    ) AS reachable
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('log', 'vault', 'access', 'projection') AND c.relkind IN ('r', 'p')
ORDER BY 1;

-- name: schemas
-- The schemas of the registry in which the role may make things, and those of which it may not use anything.
SELECT array_agg(nspname::text ORDER BY nspname) FILTER (WHERE has_schema_privilege(current_user, oid, 'CREATE'))
        AS makes_in,
    array_agg(nspname::text ORDER BY nspname) FILTER (WHERE NOT has_schema_privilege(current_user, oid, 'USAGE'))
        AS closed
FROM pg_namespace
WHERE nspname IN ('log', 'vault', 'access', 'projection', 'read', 'migration');

-- name: functions
-- Which functions the role may call, of those that the service calls. $1 their names with their schemas.
SELECT name,
    coalesce(bool_or(CASE WHEN has_schema_privilege(current_user, n.oid, 'USAGE')
        THEN has_function_privilege(current_user, p.oid, 'EXECUTE') END), false) AS callable
FROM unnest($1::text[]) AS name
LEFT JOIN pg_namespace AS n ON n.nspname = split_part(name, '.', 1)
LEFT JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = split_part(name, '.', 2)
GROUP BY name ORDER BY name;

-- name: triggers
-- Every trigger of the log, the access record and the vault: how it is enabled, and the text of what it runs.
SELECT n.nspname || '.' || c.relname || ' ' || t.tgname AS name, t.tgenabled::text AS enabled, p.prosrc AS runs
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE n.nspname IN ('log', 'access', 'vault') AND NOT t.tgisinternal;

-- name: time
SELECT clock_timestamp();

-- name: last_entry
SELECT last_recorded_at FROM log.head WHERE one;

-- name: wrapped
-- The newest wrapped keys of each master key that wrapped any: $1 how many at the most.
SELECT owner, wrapped, master_key_id FROM (
    SELECT owner, wrapped, master_key_id,
        row_number() OVER (PARTITION BY master_key_id ORDER BY created_at DESC, owner) AS place
    FROM vault.key
) AS kept
WHERE place <= $1 ORDER BY master_key_id, place;

-- name: space
-- How large the database is; whether the server is on this machine, as far as the connection tells; and where its data
-- is, if this role may know.
SELECT pg_database_size(current_database()) AS size,
    coalesce(inet_server_addr() = inet_client_addr(), true) AS here,
    CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
        THEN current_setting('data_directory') END AS folder;

-- name: monitor
-- Whether this role sees what is only for monitors.
SELECT pg_has_role(current_user, 'pg_monitor', 'USAGE');

-- name: standbys
-- For monitors. `behind` is in bytes, `lag` in seconds; null where the standby has not told. Backups receive WAL as a
-- standby does and are none.
SELECT coalesce(nullif(application_name, ''), host(client_addr), 'unnamed') AS name, state, sync_state,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind,
    extract(epoch FROM replay_lag)::float8 AS lag
FROM pg_stat_replication WHERE usename IS DISTINCT FROM 'registry_backup' ORDER BY 1;

-- name: wanted_standbys
SELECT current_setting('synchronous_standby_names');

-- name: slots
-- Replication slots, with how many bytes of WAL each keeps from being removed.
SELECT slot_name::text AS name, active, coalesce(wal_status, '') AS state,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS holds
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1;

-- name: archiving
SELECT current_setting('archive_mode') AS mode, archived_count, last_archived_time, failed_count, last_failed_time,
    clock_timestamp() AS now
FROM pg_stat_archiver;

-- name: unarchived
-- For monitors: WAL files that wait to be archived, and the bytes of all WAL files.
SELECT (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting,
    (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir())::bigint AS size;

-- name: projection
-- How far the read models that readers of a version see are, or the live ones where it has none; of which version; and
-- whether some session is the projector: who holds its lock. `heard` is when that session last asked anything, which only
-- monitors see. $1 the lock's number, $2 version.
SELECT h.size, g.position, g.version,
    p.pid IS NOT NULL AS running,
    a.state_change AS heard,
    clock_timestamp() AS now
FROM log.head AS h
LEFT JOIN LATERAL (
    SELECT position, version FROM projection.generation
    WHERE state = 'live' OR state = 'beside' AND version = $2
    ORDER BY version = $2 DESC
    LIMIT 1
) AS g ON true
LEFT JOIN LATERAL (
    SELECT l.pid FROM pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint
    LIMIT 1
) AS p ON true
LEFT JOIN pg_stat_activity AS a ON a.pid = p.pid
WHERE h.one;

-- name: uncovered
-- When the first entry was recorded that a checkpoint over $1 entries does not cover, and what time it is.
SELECT (SELECT recorded_at FROM log.entry WHERE position = $1) AS since, clock_timestamp() AS now;
