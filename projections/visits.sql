-- visits: who is to come to whom, by the date on which it was held, or else by window.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE visits (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    cooperation text NOT NULL,
    parties text[] NOT NULL,
    topics text[] NOT NULL,
    topic_kinds text[] NOT NULL,
    persons text[] NOT NULL,
    visitor text[] NOT NULL,
    host text NOT NULL,
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
CREATE UNIQUE INDEX IF NOT EXISTS visits_versions ON visits (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS visits_current ON visits (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS visits_order ON visits (sort, id);
CREATE INDEX IF NOT EXISTS visits_promised ON visits (due, id) WHERE due IS NOT NULL AND died IS NULL;
CREATE INDEX IF NOT EXISTS visits_promise_ended ON visits (died) WHERE due IS NOT NULL AND died IS NOT NULL;
CREATE INDEX IF NOT EXISTS visits_cooperation ON visits (cooperation);
CREATE INDEX IF NOT EXISTS visits_parties ON visits USING gin (parties);
CREATE INDEX IF NOT EXISTS visits_words ON visits USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM visits WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE visits;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE visits AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM visits
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 topic, or null for any
--   $8 kind of a topic, or null for any
--   $9 person, or null for any
--   $10 party that visits (or a party merged with it), or null for any
--   $11 party that is visited (or a party merged with it), or null for any
--   $12 country, or null for any
--   $13 status, or null for any
--   $14, $15 first and last day of the window (null: no bound); $16 whether it must lie there, not only may
--   $17, $18 first and last day of when it was held (null: no bound; what was not held lies in none);
--     $19 whether it must lie there, not only may
SELECT id, sort, body FROM visits
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR topics @> ARRAY[$7])
  AND ($8::text IS NULL OR topic_kinds @> ARRAY[$8])
  AND ($9::text IS NULL OR persons @> ARRAY[$9])
  AND ($10::text[] IS NULL OR visitor && $10)
  AND ($11::text[] IS NULL OR host = ANY ($11))
  AND ($12::text IS NULL OR country = $12)
  AND ($13::text IS NULL OR status = $13)
  AND projection.lies(earliest, latest, qualified, $14::date, $15::date, $16::boolean)
  AND ($17::date IS NULL AND $18::date IS NULL OR status = 'held'
    AND projection.lies(held_earliest, held_latest, held_qualified, $17::date, $18::date, $19::boolean))
ORDER BY sort ASC, id ASC
LIMIT $4;
