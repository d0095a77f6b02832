-- message-db as its users call it.

-- name: write
-- $1 id, $2 stream, $3 type, $4 data, $5 expected version.
SELECT write_message($1, $2, $3, $4::jsonb, NULL, $5);

-- name: read
-- $1 position from which on, $2 how many.
SELECT global_position, type, data FROM get_category_messages('cooperation', $1, $2);

-- name: has_pgcrypto
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgcrypto');
