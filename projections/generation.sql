-- The generations of read models and how far each has come.

-- name: lock
-- Have an advisory lock until the connection ends: whether it was free. $1 its number.
SELECT pg_try_advisory_lock($1);

-- name: server
-- Which server this is, among those that have the same data: since when it runs.
SELECT pg_postmaster_start_time();

-- name: to_read
-- The same, of a connection over which nothing is written from now on.
SELECT pg_postmaster_start_time(), set_config('default_transaction_read_only', 'on', false);

-- name: live
-- The generation that the schema `read` shows, whatever its version.
SELECT id, version, position FROM projection.generation WHERE state = 'live';

-- name: shown
-- The generation that programs of a version see: $1 version.
SELECT id, state, position FROM projection.generation WHERE version = $1 AND state IN ('beside', 'live');

-- name: unfinished
-- What builds that were interrupted, and generations that were replaced, have left, and what is being built.
SELECT id FROM projection.generation WHERE state IN ('building', 'retired');

-- name: add
-- A new generation, empty: $1 version, $2 the one read model that it is for, or null for all.
INSERT INTO projection.generation (version, alone) VALUES ($1, $2) RETURNING id;

-- name: hold
-- Be known as the builder of a generation until the connection ends, or it is let go: $1 the locks' number, $2 generation.
SELECT pg_advisory_lock($1::integer, $2::integer);

-- name: try_hold
-- The same, if nobody else is its builder: whether that is so. $1 the locks' number, $2 generation.
SELECT pg_try_advisory_lock($1::integer, $2::integer);

-- name: let_go
-- $1 the locks' number, $2 generation.
SELECT pg_advisory_unlock($1::integer, $2::integer);

-- name: hold_share
-- Be known to write a share of a generation, until the connection ends: $1 the locks' number, $2 generation.
SELECT pg_advisory_lock_shared($1::integer, $2::integer);

-- name: open_schema
-- $1 generation.
SELECT projection.open_schema($1);

-- name: by_size
-- The tables of a schema, the largest first: $1 schema.
SELECT relname FROM pg_class
WHERE relnamespace = $1::regnamespace AND relkind = 'r' ORDER BY pg_relation_size(oid) DESC, relname;

-- name: pages
-- How many pages each table of a schema has: $1 schema.
SELECT relname AS name, pg_relation_size(oid) / current_setting('block_size')::bigint AS pages
FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r';

-- name: search_path
-- Let unqualified names mean the tables of a generation, until the transaction ends: $1 its schema. Meanwhile statements
-- are planned once, for any number of rows, and rows are found through an index, however few there were then.
SELECT
    set_config('search_path', $1, true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('enable_seqscan', 'off', true);

-- name: unhurried
-- Let this transaction's commit be waited for less than is set: it is durable everywhere at the latest with the next one
-- that is waited for as is set. $1 off: not at all; local: until it is on disk here.
SELECT set_config('synchronous_commit', $1, true);

-- name: indexing
-- Until the transaction ends, let indexes be made in memory, and statistics rest on a small sample: enough to plan by
-- until PostgreSQL takes them by itself, which is when a tenth of a table has changed since. And let the tables, which were
-- just written and are in the system's memory, be read by the process itself: to ask others for each page took a rebuild a
-- seventh of its time. Nobody is to help: as many processes as there are processors make indexes already.
SELECT set_config('maintenance_work_mem', '128MB', true), set_config('default_statistics_target', '3', true),
    set_config('max_parallel_maintenance_workers', '0', true),
    set_config('effective_io_concurrency', '0', true), set_config('maintenance_io_concurrency', '0', true);

-- name: one_switch
-- Be the only one who switches, until the transaction ends: $1 the lock's number.
SELECT pg_advisory_xact_lock($1);

-- name: hold_shown
-- Keep the generations that readers see where they are until the transaction ends, and say how far that is.
SELECT max(position) FROM (
    SELECT position FROM projection.generation WHERE state IN ('beside', 'live') ORDER BY id FOR UPDATE
) AS held;

-- name: show
-- $1 generation.
SELECT projection.show($1);

-- name: take_over
-- $1 generation.
SELECT projection.take_over($1);

-- name: others
-- Whether programs of other versions are connected that read: by the names of the connections over which they hear of
-- positions, of which $1 is this version's.
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'registry-position%' AND application_name <> $1
);

-- name: drop
-- $1 generation.
SELECT projection.drop_generation($1);

-- name: advance
-- Move a generation on, if it is where and what it is thought to be: $1 generation, $2 from, $3 to, $4 its states.
UPDATE projection.generation SET position = $3 WHERE id = $1 AND position = $2 AND state = ANY ($4::text[]) RETURNING id;

-- name: notify
-- Wake those who wait for a size: $1 position.
SELECT pg_notify('registry_projected', $1::text);

-- name: position
-- How far the read models have come that programs of a version see: $1 version.
SELECT position FROM projection.generation WHERE version = $1 AND state IN ('beside', 'live');
