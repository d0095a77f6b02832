-- What is asked of the vault, as the owner of the database, when its keys are wrapped by another master key.

-- name: become_owner
-- Act as the owner of this database; null if the current user is no member of it.
SELECT set_config('role', owner, false)
FROM (SELECT pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = current_database()) AS this
WHERE pg_has_role(current_user, owner, 'MEMBER');

-- name: stop_appends
-- Nothing is appended until the transaction ends: whoever appends takes this lock before any other.
SELECT FROM log.head WHERE one FOR UPDATE;

-- name: stop_writers
-- No key is made or destroyed until the transaction ends; they can be read.
LOCK TABLE vault.key IN EXCLUSIVE MODE;

-- name: look_again
-- Within a transaction PostgreSQL goes on saying who was connected when that was first asked.
SELECT pg_stat_clear_snapshot();

-- name: served_by
-- The processes that are connected as the service, if there are any.
SELECT format('%s (process %s)', coalesce(nullif(a.application_name, ''), a.usename), a.pid) AS process
FROM pg_stat_activity AS a JOIN pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND NOT r.rolsuper
    AND pg_has_role(r.oid, 'registry_service', 'MEMBER') AND NOT pg_has_role(r.oid, current_user, 'MEMBER')
ORDER BY a.pid;

-- name: wrapped_by
-- How many keys are wrapped by each master key.
SELECT master_key_id, count(*) AS keys FROM vault.key GROUP BY master_key_id;

-- name: page
-- Keys that are not wrapped by a master key, in order: $1 its id, $2 the owner after whom, $3 how many at the most.
SELECT owner, wrapped, master_key_id FROM vault.key
WHERE owner > $2 AND master_key_id <> $1 ORDER BY owner LIMIT $3;

-- name: wrap
-- Keep keys as they are wrapped now: $1 owners, $2 their wrapped keys, $3 the master key's id.
UPDATE vault.key AS k SET wrapped = made.wrapped, master_key_id = $3
FROM unnest($1::text[], $2::bytea[]) AS made (owner, wrapped) WHERE k.owner = made.owner;

-- name: entries
-- What was recorded of things: $1 their streams.
SELECT stream, bytes FROM log.entry WHERE stream = ANY ($1::text[]) ORDER BY position;

-- name: forget_tokens
-- $1 owners.
DELETE FROM vault.token WHERE owner = ANY ($1::text[]);

-- name: add_tokens
-- $1 owners, $2 a token of each.
INSERT INTO vault.token (owner, token) SELECT * FROM unnest($1::text[], $2::bytea[]);

-- name: expect
-- Let no other than the owner of the database add a key that another master key wrapped: $1 the id of the one expected.
UPDATE vault.mark SET master_key_id = $1 WHERE one;
