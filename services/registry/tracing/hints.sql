-- name: tell
-- Tell whoever projects which spans entries were recorded in. $1: hints, as hints.py writes them.
SELECT pg_notify('registry_trace', hint) FROM unnest($1::text[]) AS hint
