-- meetings: who met whom, newest first.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE meetings (
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
    occasion text,
    country text,
    earliest date,
    latest date,
    qualified boolean NOT NULL,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS meetings_versions ON meetings (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS meetings_current ON meetings (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS meetings_order ON meetings (sort, id);
CREATE INDEX IF NOT EXISTS meetings_cooperation ON meetings (cooperation);
CREATE INDEX IF NOT EXISTS meetings_parties ON meetings USING gin (parties);
CREATE INDEX IF NOT EXISTS meetings_words ON meetings USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM meetings WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE meetings;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE meetings AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM meetings
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in descending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 topic, or null for any
--   $8 kind of a topic, or null for any
--   $9 person, or null for any
--   $10 occasion, or null for any
--   $11 country, or null for any
--   $12, $13 first and last day of the meeting (null: no bound); $14 whether it must lie there, not only may
SELECT id, sort, body FROM meetings
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) < ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR topics @> ARRAY[$7])
  AND ($8::text IS NULL OR topic_kinds @> ARRAY[$8])
  AND ($9::text IS NULL OR persons @> ARRAY[$9])
  AND ($10::text IS NULL OR occasion = $10)
  AND ($11::text IS NULL OR country = $11)
  AND projection.lies(earliest, latest, qualified, $12::date, $13::date, $14::boolean)
ORDER BY sort DESC, id DESC
LIMIT $4;
