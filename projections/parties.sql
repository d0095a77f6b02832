-- parties: organisations, by name.

-- name: create
-- The table, in the schema of a generation (the search path).
CREATE TABLE parties (
    id text NOT NULL,
    born bigint NOT NULL,
    died bigint,
    sort text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    kind text NOT NULL,
    country text NOT NULL,
    part_of text,
    sectors text[] NOT NULL,
    identifiers text[] NOT NULL,
    merged_into text,
    title text NOT NULL,
    words text NOT NULL
) WITH (toast_tuple_target = 4080);

-- name: index
-- Its indexes, once it is filled.
CREATE UNIQUE INDEX IF NOT EXISTS parties_versions ON parties (id, born);
CREATE UNIQUE INDEX IF NOT EXISTS parties_current ON parties (id) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS parties_order ON parties (sort, id);
CREATE INDEX IF NOT EXISTS parties_identifiers ON parties USING gin (identifiers);
CREATE INDEX IF NOT EXISTS parties_merged_into ON parties (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX IF NOT EXISTS parties_words ON parties USING gin ((words::tsvector));

-- name: seen
-- Look at the rows from a page of the table on: $1 its number and 0.
SELECT count(*) FROM parties WHERE ctid >= $1;

-- name: analyze
-- Take its statistics, which PostgreSQL does by itself some minutes later.
ANALYZE parties;

-- name: end
-- End current versions: $1 ids, $2 the positions that ended them.
UPDATE parties AS version SET died = ended.died
FROM unnest($1::text[], $2::bigint[]) AS ended (id, died)
WHERE version.id = ended.id AND version.died IS NULL;

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, sort, body FROM parties
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 kind, or null for any
--   $6 country, or null for any
--   $7 party that it is part of (or a party merged with it), or null for any
--   $8 sector, or null for any
--   $9 identifier, as scheme:value, or null for any
SELECT id, sort, body FROM parties
WHERE born < $1 AND (died IS NULL OR died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR kind = $5)
  AND ($6::text IS NULL OR country = $6)
  AND ($7::text[] IS NULL OR part_of = ANY ($7))
  AND ($8::text IS NULL OR sectors @> ARRAY[$8])
  AND ($9::text IS NULL OR identifiers @> ARRAY[$9])
ORDER BY sort ASC, id ASC
LIMIT $4;

-- name: merged
-- A party and all that it was merged with, either way, as of a log size: $1 id, $2 size.
WITH RECURSIVE into_ (id) AS (
    SELECT $1::text
    UNION
    SELECT party.merged_into FROM into_ JOIN parties AS party ON party.id = into_.id
    WHERE party.merged_into IS NOT NULL AND party.born < $2 AND (party.died IS NULL OR party.died >= $2)
), merged (id) AS (
    SELECT id FROM into_
    UNION
    SELECT party.id FROM merged JOIN parties AS party ON party.merged_into = merged.id
    WHERE party.born < $2 AND (party.died IS NULL OR party.died >= $2)
)
SELECT id FROM merged;

-- name: ever_merged
-- A party and all that it was ever merged with, either way, up to a log size: $1 id, $2 size. Each comes with the positions
-- after which it was so (-1: always) and up to which (null: it is so as of that size), as the versions of rows do.
WITH RECURSIVE into_ (id, since, until) AS (
    SELECT $1::text, -1::bigint, NULL::bigint
    UNION
    SELECT party.merged_into, greatest(into_.since, party.born),
        least(into_.until, CASE WHEN party.died < $2 THEN party.died END)
    FROM into_ JOIN parties AS party ON party.id = into_.id
    WHERE party.merged_into IS NOT NULL AND party.born < $2
      AND (into_.until IS NULL OR into_.until > party.born) AND (party.died IS NULL OR party.died > into_.since)
), merged (id, since, until) AS (
    SELECT id, since, until FROM into_
    UNION
    SELECT party.id, greatest(merged.since, party.born),
        least(merged.until, CASE WHEN party.died < $2 THEN party.died END)
    FROM merged JOIN parties AS party ON party.merged_into = merged.id
    WHERE party.born < $2
      AND (merged.until IS NULL OR merged.until > party.born) AND (party.died IS NULL OR party.died > merged.since)
)
SELECT id, since, until FROM merged;
