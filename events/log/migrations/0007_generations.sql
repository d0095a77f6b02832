-- Generations side by side: one of a single read model, a switch that is never behind, and what compares and digests.

ALTER TABLE projection.generation ADD COLUMN alone text;

COMMENT ON COLUMN projection.generation.alone IS 'The one read model that it is built for, whose switch takes the others over from the live generation; null: all.';

-- Make a built generation the live one: its tables become the views that readers use. In one transaction with the
-- caller's, so that no reader sees half of it. Who reads for long makes this fail (lock_not_available) rather than
-- hold up who comes after them; the waiting is less than deadlock_timeout in all, so that a reader of two views is
-- never what fails. The live generation's row stays locked to the end, and whoever would move it on waits; then it is
-- retired, and they find that it is.
CREATE OR REPLACE FUNCTION projection.switch(_id integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
    until timestamptz := clock_timestamp() + interval '500ms';
    new projection.generation;
    old projection.generation;
    relation name;
BEGIN
    SELECT * INTO old FROM projection.generation WHERE state = 'live' FOR UPDATE;
    SELECT * INTO new FROM projection.generation WHERE id = _id AND state = 'building' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is not being built', _id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF new.position < old.position THEN
        RAISE EXCEPTION 'generation % is at %, but readers have seen %', _id, new.position, old.position
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF new.alone IS NOT NULL AND (old.version, old.position) IS DISTINCT FROM (new.version, new.position) THEN
        RAISE EXCEPTION 'generation % has % alone, and the live one is of another version or position', _id, new.alone
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE projection.generation SET state = 'retired' WHERE id = old.id;
    UPDATE projection.generation SET state = 'live', alone = NULL WHERE id = _id;
    FOR relation IN SELECT viewname FROM pg_views WHERE schemaname = 'read' ORDER BY viewname LOOP
        PERFORM projection.patience(until);
        EXECUTE format('DROP VIEW read.%I', relation);
    END LOOP;
    IF new.alone IS NOT NULL THEN
        FOR relation IN
            SELECT tablename FROM pg_tables WHERE schemaname = 'read_' || old.id AND tablename <> new.alone ORDER BY tablename
        LOOP
            PERFORM projection.patience(until);
            EXECUTE format('ALTER TABLE %I.%I SET SCHEMA %I', 'read_' || old.id, relation, 'read_' || _id);
        END LOOP;
    END IF;
    FOR relation IN SELECT tablename FROM pg_tables WHERE schemaname = 'read_' || _id ORDER BY tablename LOOP
        EXECUTE format('CREATE VIEW read.%I AS TABLE %I.%I', relation, 'read_' || _id, relation);
        EXECUTE format('GRANT SELECT ON read.%I TO registry_service, registry_reader', relation);
    END LOOP;
END
$$;

-- Wait for locks no longer than until then, and 200 ms for one: to the end of the transaction, or of the function that
-- calls this if it has a lock_timeout of its own.
CREATE FUNCTION projection.patience(_until timestamptz) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT NULL::void FROM set_config(
        'lock_timeout',
        greatest(1, least(200, 1000 * extract(epoch FROM _until - clock_timestamp())))::integer || 'ms',
        true
    )
);

-- The rows of a read model as of a log size, in the order of a digest; `columns` has the values of some columns.
-- VOLATILE, so that its query has a snapshot of its own, taken when the view's tables are known and locked: an older
-- one would not show the rows of a generation that was built since.
CREATE FUNCTION projection.rows_at(_schema text, _model text, _columns text[], _size bigint)
RETURNS TABLE (id text, sort text, body bytea, columns jsonb)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT id, sort, body, jsonb_build_array(%s) FROM %I.%I'
        ' WHERE born < $1 AND (died IS NULL OR died >= $1) ORDER BY id COLLATE "C"',
        (SELECT string_agg(format('%I', name), ', ' ORDER BY place)
            FROM unnest(_columns) WITH ORDINALITY AS given (name, place)),
        _schema,
        _model
    ) USING _size;
END
$$;

-- In what a read model differs in two schemas, every version of every row that was begun below a log size; what ended
-- later counts as not ended. `says` is `altered`, `missing` (there is none in _one) or `surplus` (there is none in
-- _other); `columns` names those that differ, of the columns that both have.
CREATE FUNCTION projection.differences(_one text, _other text, _model text, _size bigint, _limit integer)
RETURNS TABLE (id text, born bigint, says text, columns text[])
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shared text[];
BEGIN
    SELECT array_agg(attname ORDER BY attname) INTO shared
    FROM (
        SELECT attname::text FROM pg_attribute
        WHERE attrelid IN (format('%I.%I', _one, _model)::regclass, format('%I.%I', _other, _model)::regclass)
            AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'born', 'died')
        GROUP BY attname HAVING count(*) = 2
    ) AS found;
    RETURN QUERY EXECUTE format(
        $query$
        SELECT coalesce(one.id, other.id), coalesce(one.born, other.born),
            CASE WHEN other.id IS NULL THEN 'surplus' WHEN one.id IS NULL THEN 'missing' ELSE 'altered' END,
            CASE WHEN one.id IS NULL OR other.id IS NULL THEN '{}'
                ELSE array_remove(ARRAY[%4$s], NULL) END::text[]
        FROM (SELECT %5$s, id, born, CASE WHEN died < $1 THEN died END AS died FROM %1$I.%3$I WHERE born < $1) AS one
        FULL JOIN (SELECT %5$s, id, born, CASE WHEN died < $1 THEN died END AS died FROM %2$I.%3$I WHERE born < $1) AS other
            ON one.id = other.id AND one.born = other.born
        WHERE one.id IS NULL OR other.id IS NULL OR %6$s
        ORDER BY coalesce(one.id, other.id) COLLATE "C", 2
        LIMIT $2
        $query$,
        _one, _other, _model,
        (SELECT string_agg(format('CASE WHEN one.%1$I IS DISTINCT FROM other.%1$I THEN %1$L END', name), ', ')
            FROM unnest(shared || ARRAY['died']) AS given (name)),
        (SELECT string_agg(format('%I', name), ', ') FROM unnest(shared) AS given (name)),
        (SELECT string_agg(format('one.%1$I IS DISTINCT FROM other.%1$I', name), ' OR ')
            FROM unnest(shared || ARRAY['died']) AS given (name))
    ) USING _size, _limit;
END
$$;

REVOKE ALL ON FUNCTION projection.patience(timestamptz), projection.rows_at(text, text, text[], bigint),
    projection.differences(text, text, text, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projection.patience(timestamptz), projection.differences(text, text, text, bigint, integer)
    TO registry_projector;
GRANT EXECUTE ON FUNCTION projection.rows_at(text, text, text[], bigint) TO registry_projector, registry_service;
