-- What the bench asks of a server of the user's about the registry's roles, which belong to the server as a whole.

-- name: taken
-- Which of some roles there are. $1: their names.
SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[]) ORDER BY rolname;

-- name: claim
-- The statements that make group roles; each fails where somebody else has made the role. $1: their names.
SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest($1::text[]) AS names (name);

-- name: release
-- The statement that drops those of some roles that there are, all or none; null where there is none. $1: their names.
SELECT format('DROP ROLE %s', string_agg(quote_ident(rolname), ', ')) FROM pg_roles WHERE rolname = ANY($1::text[]);
