-- The log read as one would without the registry's code.

-- name: page
-- $1: first position, $2: how many.
SELECT position, bytes FROM log.entry WHERE position >= $1 ORDER BY position LIMIT $2;

-- name: copy
-- Everything that a replay sends, a line each.
SELECT convert_from(bytes, 'UTF8') FROM log.entry ORDER BY position;
