-- Read models of several versions of the program side by side (ADR 0036): each reads those that it makes itself, in a
-- schema of their own, form_<version>, and never those of another. `read`, for reports and for programs of before this,
-- shows the live ones. Those of the next version are built and kept up beside them until they take their place.

ALTER TABLE projection.generation DROP CONSTRAINT generation_state_known;
ALTER TABLE projection.generation
    ADD CONSTRAINT generation_state_known CHECK (state IN ('building', 'beside', 'live', 'retired'));
CREATE UNIQUE INDEX generation_one_shown ON projection.generation (version) WHERE state IN ('beside', 'live');

COMMENT ON COLUMN projection.generation.state IS
    'building; beside: shown to programs of its version; live: shown in the schema read, too; retired: to be removed.';

-- The schema in which programs of a version read.
CREATE FUNCTION projection.form(_version text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'form_' || left(_version, 16);

-- Remove the views from a schema, waiting for readers until then.
CREATE FUNCTION projection.remove_views(_schema text, _until timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation name;
BEGIN
    FOR relation IN SELECT viewname FROM pg_views WHERE schemaname = _schema ORDER BY viewname LOOP
        PERFORM projection.patience(_until);
        EXECUTE format('DROP VIEW %I.%I', _schema, relation);
    END LOOP;
END
$$;

-- Make a view in a schema over each table of a generation.
CREATE FUNCTION projection.make_views(_schema text, _id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation name;
BEGIN
    FOR relation IN SELECT tablename FROM pg_tables WHERE schemaname = 'read_' || _id ORDER BY tablename LOOP
        EXECUTE format('CREATE VIEW %I.%I AS TABLE %I.%I', _schema, relation, 'read_' || _id, relation);
        EXECUTE format('GRANT SELECT ON %I.%I TO registry_service, registry_reader', _schema, relation);
    END LOOP;
END
$$;

-- Show a built generation to programs of its version, in place of the one that they saw. It is the live one if that was,
-- or if there is none; else it is beside the live one, which is another version's. In one transaction with the caller's,
-- so that no reader sees half of it; it waits as projection.switch does, which is how programs of before this do it.
CREATE FUNCTION projection.show(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    until timestamptz := clock_timestamp() + interval '500ms';
    new projection.generation;
    old projection.generation;
    form text;
    becomes text;
    relation name;
BEGIN
    SELECT * INTO old FROM projection.generation
    WHERE state IN ('beside', 'live') AND version = (SELECT version FROM projection.generation WHERE id = _id)
    FOR UPDATE;
    SELECT * INTO new FROM projection.generation WHERE id = _id AND state = 'building' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is not being built', _id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF new.position < old.position THEN
        RAISE EXCEPTION 'generation % is at %, but readers have seen %', _id, new.position, old.position
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF new.alone IS NOT NULL AND old.position IS DISTINCT FROM new.position THEN
        RAISE EXCEPTION 'generation % has % alone, and the others are of another version or position', _id, new.alone
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    form := projection.form(new.version);
    becomes := coalesce(
        old.state,
        CASE WHEN EXISTS (SELECT FROM projection.generation WHERE state = 'live') THEN 'beside' ELSE 'live' END
    );
    UPDATE projection.generation SET state = 'retired' WHERE id = old.id;
    UPDATE projection.generation SET state = becomes, alone = NULL WHERE id = _id;
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', form);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO registry_service', form);
    PERFORM projection.remove_views(form, until);
    IF becomes = 'live' THEN
        PERFORM projection.remove_views('read', until);
    END IF;
    IF new.alone IS NOT NULL THEN
        FOR relation IN
            SELECT tablename FROM pg_tables WHERE schemaname = 'read_' || old.id AND tablename <> new.alone ORDER BY tablename
        LOOP
            PERFORM projection.patience(until);
            EXECUTE format('ALTER TABLE %I.%I SET SCHEMA %I', 'read_' || old.id, relation, 'read_' || _id);
        END LOOP;
    END IF;
    PERFORM projection.make_views(form, _id);
    IF becomes = 'live' THEN
        PERFORM projection.make_views('read', _id);
    END IF;
END
$$;

-- Make a generation that is shown beside the live one the live one. All others are over: programs of other versions
-- find none of theirs.
CREATE FUNCTION projection.take_over(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    until timestamptz := clock_timestamp() + interval '500ms';
    new projection.generation;
    old projection.generation;
BEGIN
    SELECT * INTO old FROM projection.generation WHERE state = 'live' FOR UPDATE;
    SELECT * INTO new FROM projection.generation WHERE id = _id AND state = 'beside' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is not beside the live one', _id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF new.position < old.position THEN
        RAISE EXCEPTION 'generation % is at %, but readers have seen %', _id, new.position, old.position
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE projection.generation SET state = 'retired' WHERE id <> _id AND state IN ('beside', 'live');
    UPDATE projection.generation SET state = 'live' WHERE id = _id;
    PERFORM projection.remove_views('read', until);
    PERFORM projection.make_views('read', _id);
END
$$;

-- Remove a generation that nobody is shown, with its tables and, if it was the last of its version, the schema in which
-- that read; not while somebody reads them (lock_not_available).
CREATE OR REPLACE FUNCTION projection.drop_generation(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    was text;
BEGIN
    DELETE FROM projection.generation WHERE id = _id AND state IN ('building', 'retired') RETURNING version INTO was;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is live or unknown', _id USING ERRCODE = 'object_in_use';
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', 'read_' || _id);
    IF NOT EXISTS (SELECT FROM projection.generation WHERE version = was) THEN
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', projection.form(was));
    END IF;
END
$$;

REVOKE ALL ON FUNCTION projection.remove_views(text, timestamptz), projection.make_views(text, integer),
    projection.show(integer), projection.take_over(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projection.remove_views(text, timestamptz), projection.make_views(text, integer),
    projection.show(integer), projection.take_over(integer) TO registry_projector;
