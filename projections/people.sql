-- people: who represents parties; name and contact stay sealed.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE people (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    parties text[] NOT NULL,
    ever text[] NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS people_versions ON people (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS people_current ON people (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS people_order ON people (sort, id);
CREATE INDEX IF NOT EXISTS people_parties ON people USING gin (parties);
CREATE INDEX IF NOT EXISTS people_ever ON people USING gin (ever);

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM people WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE people;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE people AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM people
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 party at which they hold a post (or a party merged with it), or null for any
--   $6 party at which they hold or held a post (or a party merged with it), or null for any
SELECT id, sort, body FROM people
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text[] IS NULL OR parties && $5)
  AND ($6::text[] IS NULL OR ever && $6)
ORDER BY sort ASC, id ASC
LIMIT $4;
