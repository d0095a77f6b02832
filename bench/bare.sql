-- What the bare application serves: bytes under a name, and a table with the indexes that entries have (append.sql).

-- name: create_table
CREATE TABLE public.served (name text PRIMARY KEY, body bytea NOT NULL);
GRANT SELECT, INSERT ON public.served TO registry_service;

-- name: keep
-- $1 name, $2 bytes.
INSERT INTO public.served (name, body) VALUES ($1, $2);

-- name: serve
-- $1 name.
SELECT body FROM public.served WHERE name = $1;
