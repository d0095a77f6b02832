-- commitments: what was promised and has not happened yet, by the last day on which it is due. A query over the rows of what
-- was promised.
--
-- Of all that was ever promised little is open at a time. `open_to` is the position that ended a version in which it is, 0
-- where none has, null in one in which it is not. It is what an index of each table is over, which has statistics of its
-- own: PostgreSQL would else take it that a promise is as often current as a row is, and read all rows.

-- name: items
-- Items as of a log size: $1 ids, $2 size.
SELECT id, due AS sort, convert_to(promise, 'UTF8') AS body FROM visits
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND due IS NOT NULL
UNION ALL
SELECT id, due, convert_to(promise, 'UTF8') FROM rounds
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND due IS NOT NULL
UNION ALL
SELECT id, sort, body FROM titles
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2) AND sort <> '';

-- name: page
-- Items as of a log size in ascending order:
--   $1 size, $2 and $3 sort key and id after which to go on (null: from the start), $4 how many at the most
--   $5 cooperation, or null for any
--   $6 party (or a party merged with it), or null for any
--   $7 kind, or null for any
--   $8, $9 first and last day of the time at which it is due (null: no bound); $10 whether it must lie there, not only may
--   $11 whether it has to be overdue (null: either), $12 on which day
SELECT id, sort, body FROM (
    SELECT 'visit' AS kind, id, born, CASE WHEN due IS NOT NULL THEN coalesce(died, 0) END AS open_to,
        due AS sort, convert_to(promise, 'UTF8') AS body,
        cooperation, parties, earliest, latest, qualified
    FROM visits
    UNION ALL
    SELECT 'round', id, born, CASE WHEN due IS NOT NULL THEN coalesce(died, 0) END,
        due, convert_to(promise, 'UTF8'),
        cooperation, parties, earliest, latest, qualified
    FROM rounds
    UNION ALL
    SELECT 'milestone', id, born, CASE WHEN sort <> '' THEN coalesce(died, 0) END,
        sort, body,
        cooperation, parties, earliest, latest, qualified
    FROM titles
) AS commitments
WHERE born < $1 AND (open_to = 0 OR open_to >= $1)
  AND ($2::text IS NULL OR (sort, id) > ($2 COLLATE "C", $3::text))
  AND ($5::text IS NULL OR cooperation = $5)
  AND ($6::text[] IS NULL OR parties && $6)
  AND ($7::text IS NULL OR kind = $7)
  AND projection.lies(earliest, latest, qualified, $8::date, $9::date, $10::boolean)
  AND ($11::boolean IS NULL OR coalesce(NOT qualified AND latest < $12::date, false) = $11)
ORDER BY sort ASC, id ASC
LIMIT $4;
