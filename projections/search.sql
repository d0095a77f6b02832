-- search: whatever can be looked for by its words.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE search (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    refs text[] NOT NULL,
    body bytea NOT NULL,
    words text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (to_tsvector('pg_catalog.simple', words)) STORED,
    CONSTRAINT search_pkey PRIMARY KEY (id, born)
);
CREATE UNIQUE INDEX search_current ON search (id) WHERE died IS NULL;
CREATE INDEX search_terms ON search USING gin (terms);

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE search AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: find
-- What has all the words, as of a log size, the best match first: $1 size, $2 the words as a tsquery,
--   $3 how many at the most, $4 how many to pass over.
SELECT id, sort, refs, body FROM read.search
WHERE born < $1 AND (died IS NULL OR died >= $1) AND terms @@ to_tsquery('pg_catalog.simple', $2)
ORDER BY ts_rank(terms, to_tsquery('pg_catalog.simple', $2)) DESC, sort, id
LIMIT $3 OFFSET $4;
