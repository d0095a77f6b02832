-- What is asked of a database that a log is to be replayed into, before anything is done to it.

-- name: is_registry
-- Whether a registry was ever made in it.
SELECT to_regclass('log.head') IS NOT NULL AND to_regclass('projection.generation') IS NOT NULL;

-- name: found
-- What the registry in it has: entries, their frontier, and whether its read models are in use.
SELECT size, frontier, last_recorded_at, EXISTS (SELECT FROM projection.generation WHERE state = 'live') AS live
FROM log.head WHERE one;
