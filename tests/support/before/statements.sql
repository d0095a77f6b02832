-- What a program of before migration 0015 asks of generations and reads of cooperations: its statements, as they were.
-- It names neither versions nor forms (ADR 0036), and what it asks is to be answered as it was as long as it may run.

-- name: lock
-- Become the one projector of this database, until the connection ends: whether it was free. $1 the lock's number.
SELECT pg_try_advisory_lock($1);

-- name: live
-- The generation that readers see.
SELECT id, version, position FROM projection.generation WHERE state = 'live';

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

-- name: open_schema
-- $1 generation.
SELECT projection.open_schema($1);

-- name: search_path
-- Let unqualified names mean the tables of a generation, until the transaction ends: $1 its schema.
SELECT set_config('search_path', $1, true);

-- name: switch
-- $1 generation.
SELECT projection.switch($1);

-- name: drop
-- $1 generation.
SELECT projection.drop_generation($1);

-- name: advance
-- Move a generation on, if it is where and what it is thought to be: $1 generation, $2 from, $3 to, $4 state.
UPDATE projection.generation SET position = $3 WHERE id = $1 AND position = $2 AND state = $4 RETURNING id;

-- name: position
-- How far the live read models have come.
SELECT position FROM projection.generation WHERE state = 'live';

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE cooperations (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    refs text[] NOT NULL,
    body bytea NOT NULL,
    parties text[] NOT NULL,
    fields text[] NOT NULL,
    stage text NOT NULL,
    topic_kinds text[] NOT NULL
);

-- name: one
-- One item as of a log size: $1 id, $2 size.
SELECT id, sort, refs, body FROM read.cooperations
WHERE id = $1 AND born < $2 AND (died IS NULL OR died >= $2);

