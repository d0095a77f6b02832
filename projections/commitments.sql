-- commitments: what was promised and has not happened yet, by the last day on which it is due. A query over the rows of what
-- was promised.
--
-- Of all that was ever promised little is open at a time. Each table is read twice, by an index each: what is open now is
-- there in its order, of which a page needs the beginning; what ended later than a size (`ended`), as of which it was open,
-- is sorted. PostgreSQL merges these. It does so only while no part has a condition of its own: all stand behind them.

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT 'visit' AS kind, id, due AS sort, body, parties, promised FROM visits
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND due IS NOT NULL
UNION ALL
SELECT 'round', id, due, body, parties, promised FROM rounds
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND due IS NOT NULL
UNION ALL
SELECT 'milestone', id, sort, body, parties, NULL FROM titles
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND sort <> '';

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 kind, or null for any
--   $8, $9 first and last day of the time at which it is due (null: no bound); $10 whether it must lie there, not only may
--   $11 whether it has to be overdue (null: either), $12 on which day
SELECT kind, id, sort, body, parties, promised FROM (
    SELECT 'visit' AS kind, id, born, died, false AS ended, due IS NOT NULL AS open,
        due AS sort, body, promised,
        cooperation, parties, earliest, latest, qualified
    FROM visits
    UNION ALL
    SELECT 'round', id, born, died, false, due IS NOT NULL,
        due, body, promised,
        cooperation, parties, earliest, latest, qualified
    FROM rounds
    UNION ALL
    SELECT 'milestone', id, born, died, false, sort <> '',
        sort, body, NULL,
        cooperation, parties, earliest, latest, qualified
    FROM titles
    UNION ALL
    SELECT 'visit', id, born, died, true, due IS NOT NULL,
        due, body, promised,
        cooperation, parties, earliest, latest, qualified
    FROM visits
    UNION ALL
    SELECT 'round', id, born, died, true, due IS NOT NULL,
        due, body, promised,
        cooperation, parties, earliest, latest, qualified
    FROM rounds
    UNION ALL
    SELECT 'milestone', id, born, died, true, sort <> '',
        sort, body, NULL,
        cooperation, parties, earliest, latest, qualified
    FROM titles
) AS commitments
WHERE born < $1 AND open AND (NOT ended AND died IS NULL OR ended AND died >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR kind = $7)
  AND projection.lies(earliest, latest, qualified, $8::date, $9::date, $10::boolean)
  AND ($11::boolean IS NULL OR coalesce(NOT qualified AND latest < $12::date, false) = $11)
ORDER BY sort ASC, id ASC
LIMIT $4;
