-- rounds: next stages of discussions, by the date on which they were held, or else by window.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE rounds (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    parties text[] NOT NULL,
    persons text[] NOT NULL,
    country text NOT NULL,
    status text NOT NULL,
    earliest date,
    latest date,
    qualified boolean NOT NULL,
    held_earliest date,
    held_latest date,
    held_qualified boolean NOT NULL,
    due text COLLATE "C",
    promised text,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS rounds_versions ON rounds (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS rounds_current ON rounds (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS rounds_order ON rounds (sort, id);
CREATE INDEX IF NOT EXISTS rounds_promised ON rounds (due, id) WHERE due IS NOT NULL AND died IS NULL;
CREATE INDEX IF NOT EXISTS rounds_promise_ended ON rounds (died) WHERE due IS NOT NULL AND died IS NOT NULL;
CREATE INDEX IF NOT EXISTS rounds_cooperation ON rounds (cooperation);
CREATE INDEX IF NOT EXISTS rounds_parties ON rounds USING gin (parties);
CREATE INDEX IF NOT EXISTS rounds_words ON rounds USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM rounds WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE rounds;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE rounds AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM rounds
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 person, or null for any
--   $8 country, or null for any
--   $9 status, or null for any
--   $10, $11 first and last day of the window (null: no bound); $12 whether it must lie there, not only may
--   $13, $14 first and last day of when it was held (null: no bound; what was not held lies in none);
--     $15 whether it must lie there, not only may
SELECT id, sort, body FROM rounds
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR persons @> ARRAY[$7])
  AND ($8::text IS NULL OR country = $8)
  AND ($9::text IS NULL OR status = $9)
  AND projection.lies(earliest, latest, qualified, $10::date, $11::date, $12::boolean)
  AND ($13::date IS NULL AND $14::date IS NULL OR status = 'held'
    AND projection.lies(held_earliest, held_latest, held_qualified, $13::date, $14::date, $15::boolean))
ORDER BY sort ASC, id ASC
LIMIT $4;
