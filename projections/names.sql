-- names: the label of everything that has one.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE names (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    label text,
    sealed text
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS names_versions ON names (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS names_current ON names (id) WHERE died IS NULL;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE names;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE names AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;
