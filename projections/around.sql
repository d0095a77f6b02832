-- What stands around things that are shown: what they name, as of the same log size. One statement, so that an answer takes
-- few; its rows are of several kinds, and a column that a kind has no use for is null.

-- name: around
-- $1 ids, $2 size, $3 streams, $4 size as of which sources are looked at for whether they were withdrawn meanwhile
-- moment:   when the last entry was recorded; no row for an empty log
-- revision: of each stream, the revision as of the size: null where it has gone on since, so that it has to be looked for
-- survivor: what a merged party lives on in, however many mergers it took; not of those that were merged in a circle
-- label:    what an id, or a survivor, is called; of a person the row, in which the name is sealed
-- source:   the row of a source, as of the size (then) or the later one
WITH RECURSIVE into_ (id, party) AS (
    SELECT id, merged_into FROM parties
    WHERE id = ANY ($1::text[]) AND merged_into IS NOT NULL AND born < $2 AND (died IS NULL OR died >= $2)
    UNION
    SELECT into_.id, party.merged_into FROM into_ JOIN parties AS party ON party.id = into_.party
    WHERE party.merged_into IS NOT NULL AND party.born < $2 AND (party.died IS NULL OR party.died >= $2)
), survivor (id, party) AS (
    SELECT into_.id, party.id FROM into_ JOIN parties AS party ON party.id = into_.party
    WHERE party.merged_into IS NULL AND party.born < $2 AND (party.died IS NULL OR party.died >= $2)
), named (kind, id) AS MATERIALIZED (
    SELECT split_part(id, '_', 1), id FROM (SELECT unnest($1::text[]) UNION SELECT party FROM survivor) AS each (id)
)
SELECT 'moment' AS what, NULL AS id, NULL AS text, NULL::bytea AS body, entry.recorded_at AS moment, NULL::integer AS revision
FROM log.entry AS entry WHERE entry.position = $2::bigint - 1
UNION ALL
SELECT 'revision', stream.name, NULL, NULL, NULL,
    (SELECT CASE WHEN entry.position < $2 THEN entry.revision END FROM log.entry AS entry
        WHERE entry.stream = stream.name ORDER BY entry.revision DESC LIMIT 1)
FROM unnest($3::text[]) AS stream (name)
UNION ALL
SELECT 'survivor', id, party, NULL, NULL, NULL FROM survivor
UNION ALL
SELECT 'label', thing.id, thing.title, NULL, NULL, NULL FROM named JOIN parties AS thing ON thing.id = named.id
WHERE named.kind = 'party' AND thing.born < $2 AND (thing.died IS NULL OR thing.died >= $2)
UNION ALL
SELECT 'label', thing.id, thing.title, NULL, NULL, NULL FROM named JOIN occasions AS thing ON thing.id = named.id
WHERE named.kind = 'occ' AND thing.born < $2 AND (thing.died IS NULL OR thing.died >= $2)
UNION ALL
SELECT 'label', thing.id, thing.title, NULL, NULL, NULL FROM named JOIN sources AS thing ON thing.id = named.id
WHERE named.kind = 'src' AND thing.born < $2 AND (thing.died IS NULL OR thing.died >= $2)
UNION ALL
SELECT 'label', thing.id, thing.title, NULL, NULL, NULL FROM named JOIN topics AS thing ON thing.id = named.id
WHERE named.kind = 'topic' AND thing.born < $2 AND (thing.died IS NULL OR thing.died >= $2)
UNION ALL
SELECT 'label', thing.id, thing.title, NULL, NULL, NULL FROM named JOIN titles AS thing ON thing.id = named.id
WHERE named.kind IN ('coop', 'milestone') AND thing.born < $2 AND (thing.died IS NULL OR thing.died >= $2)
UNION ALL
SELECT 'label', person.id, NULL, person.body, NULL, NULL FROM named JOIN people AS person ON person.id = named.id
WHERE named.kind = 'person' AND person.born < $2 AND (person.died IS NULL OR person.died >= $2)
UNION ALL
SELECT 'then', source.id, source.sha256, source.body, NULL, NULL FROM sources AS source
WHERE source.id = ANY ($1) AND source.born < $2 AND (source.died IS NULL OR source.died >= $2)
UNION ALL
SELECT 'now', source.id, NULL, source.body, NULL, NULL FROM sources AS source
WHERE $4::bigint > $2 AND source.id = ANY ($1) AND source.born < $4 AND (source.died IS NULL OR source.died >= $4);
