-- Read models: which generation of their tables is live, how far each has come, and what readers share.
--
-- The tables of a generation are in a schema of its own, read_<id>, made by the projector from the read models' SQL;
-- readers see those of the live one as views in the schema `read`. None of it is ever migrated: it is built anew.

CREATE SCHEMA projection;
CREATE SCHEMA read;

CREATE TABLE projection.generation (
    id integer GENERATED ALWAYS AS IDENTITY,
    version text NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'building',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT generation_pkey PRIMARY KEY (id),
    CONSTRAINT generation_position_from_zero CHECK (position >= 0),
    CONSTRAINT generation_state_known CHECK (state IN ('building', 'live', 'retired'))
);
CREATE UNIQUE INDEX generation_one_live ON projection.generation (state) WHERE state = 'live';

COMMENT ON COLUMN projection.generation.version IS 'Digest of the read models'' SQL and numbers.';
COMMENT ON COLUMN projection.generation.position IS 'Entries below it have been projected.';

-- Whether a fact with these bounds (null: open) may lie between two days (null: no bound), or, if certain, must.
-- What is stated with a qualifier (uncertain or approximate) must lie nowhere in particular.
CREATE FUNCTION projection.lies(
    earliest date, latest date, qualified boolean, first date, last date, certain boolean
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN certain THEN (first IS NULL AND last IS NULL) OR (
        NOT qualified AND (first IS NULL OR coalesce(earliest >= first, false))
        AND (last IS NULL OR coalesce(latest <= last, false)))
    ELSE (first IS NULL OR last IS NULL OR first <= last)
        AND (first IS NULL OR latest IS NULL OR latest >= first)
        AND (last IS NULL OR earliest IS NULL OR earliest <= last)
END;

-- Make the schema of a generation. Readers have no part in it: they use the views, which look into it for their owner.
CREATE FUNCTION projection.open_schema(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', 'read_' || _id);
END
$$;

-- Make a built generation the live one: its tables become the views that readers use. In one transaction with the
-- caller's, so that no reader sees half of it. Who reads for long makes this fail (lock_not_available) rather than
-- hold up who comes after them; less than deadlock_timeout, so that a reader of two views is never what fails.
CREATE FUNCTION projection.switch(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    relation name;
BEGIN
    UPDATE projection.generation SET state = 'retired' WHERE state = 'live';
    UPDATE projection.generation SET state = 'live' WHERE id = _id AND state = 'building';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is not being built', _id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOR relation IN SELECT viewname FROM pg_views WHERE schemaname = 'read' ORDER BY viewname LOOP
        EXECUTE format('DROP VIEW read.%I', relation);
    END LOOP;
    FOR relation IN SELECT tablename FROM pg_tables WHERE schemaname = 'read_' || _id ORDER BY tablename LOOP
        EXECUTE format('CREATE VIEW read.%I AS TABLE %I.%I', relation, 'read_' || _id, relation);
        EXECUTE format('GRANT SELECT ON read.%I TO registry_service, registry_reader', relation);
    END LOOP;
END
$$;

-- Remove a generation that is not live, with its tables; not while somebody reads them (lock_not_available).
CREATE FUNCTION projection.drop_generation(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
BEGIN
    DELETE FROM projection.generation WHERE id = _id AND state <> 'live';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is live or unknown', _id USING ERRCODE = 'object_in_use';
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', 'read_' || _id);
END
$$;

REVOKE ALL ON FUNCTION projection.open_schema(integer), projection.switch(integer),
    projection.drop_generation(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projection.open_schema(integer), projection.switch(integer),
    projection.drop_generation(integer) TO registry_projector;
GRANT USAGE ON SCHEMA projection TO registry_service, registry_reader, registry_projector;
GRANT USAGE ON SCHEMA read TO registry_service, registry_reader;
GRANT USAGE, CREATE ON SCHEMA read TO registry_projector;
GRANT SELECT ON projection.generation TO registry_service, registry_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection.generation TO registry_projector;

DO $$
BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO registry_projector', current_database());
END
$$;
