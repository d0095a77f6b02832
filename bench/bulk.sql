-- A table with the columns and indexes of `log.entry`, which COPY fills.

-- name: create_table
CREATE TABLE public.copied (LIKE log.entry INCLUDING ALL);
GRANT SELECT, INSERT ON public.copied TO registry_service;
