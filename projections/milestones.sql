-- milestones: what the steps of roadmaps are called.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE milestones (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS milestones_versions ON milestones (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS milestones_current ON milestones (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS milestones_words ON milestones USING gin ((words::tsvector));

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE milestones;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE milestones AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;
