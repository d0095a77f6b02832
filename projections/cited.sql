-- Sources as they are asked for together, when what cites them is shown.

-- name: sources
-- As of a log size: $1 ids, $2 size.
SELECT id, sort, refs, body FROM read.sources
WHERE id = ANY ($1::text[]) AND born < $2 AND (died IS NULL OR died >= $2);
