-- A batch that is sent behind one that is still on its way (ADR 0022): the log that it goes on from is checked as well.

-- `log.append_on` with `_after`: the frontier that the log must have before the batch, or null if the size says enough. It
-- does when the size was answered, as a log has one frontier at a size. It does not when it is assumed: the batch
-- ahead may fail, and another writer's of the same length be recorded. Then nothing is written.
CREATE FUNCTION log.append_on(
    _after bytea[],
    _read_stream text[],
    _read_revision integer[],
    _absent text[],
    _absent_since bigint[],
    _needed text[],
    _size bigint,
    _frontier bytea[],
    _recorded_at timestamptz,
    _entries log.new_entry[],
    _held_commands uuid[],
    _held_streams text[],
    _claim_scope text[],
    _claim_value text[],
    _claim_position bigint[],
    _key_owner text[],
    _key_wrapped bytea[],
    _key_master text[],
    _salt_command uuid[],
    _salt_owner text[],
    _salt bytea[],
    _token_owner text[],
    _token bytea[],
    _destroy text[],
    OUT overtaken text[],
    OUT appended boolean,
    OUT size bigint,
    OUT frontier bytea[],
    OUT last_recorded_at timestamptz,
    OUT found_streams text[],
    OUT found_revisions integer[],
    OUT known_commands uuid[],
    OUT taken_scopes text[],
    OUT taken_values text[],
    OUT taken_keys text[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    as_assumed boolean;
BEGIN
    SELECT coalesce(h.frontier = _after, _after IS NULL) INTO STRICT as_assumed FROM log.head AS h WHERE h.one FOR UPDATE;

    IF as_assumed AND (cardinality(_read_stream) > 0 OR cardinality(_absent) > 0 OR cardinality(_needed) > 0) THEN
        SELECT array_agg(rested.upon) INTO overtaken
        FROM (
            SELECT asked.stream AS upon
            FROM unnest(_read_stream, _read_revision) AS asked (stream, revision)
            LEFT JOIN LATERAL (
                SELECT e.revision FROM log.entry AS e WHERE e.stream = asked.stream ORDER BY e.revision DESC LIMIT 1
            ) AS latest ON true
            WHERE coalesce(latest.revision, -1) <> asked.revision
            UNION ALL
            SELECT asked.absent
            FROM unnest(_absent, _absent_since) AS asked (absent, since)
            CROSS JOIN LATERAL (
                SELECT FROM log.entry AS e
                WHERE e.position >= asked.since AND position(convert_to(asked.absent, 'UTF8') IN e.bytes) > 0
                LIMIT 1
            ) AS mention
            UNION ALL
            SELECT asked.owner
            FROM unnest(_needed) AS asked (owner)
            WHERE NOT EXISTS (SELECT FROM vault.key AS k WHERE k.owner = asked.owner)
        ) AS rested;
    END IF;

    -- No log has the size -1: then nothing is written.
    SELECT a.appended, a.size, a.frontier, a.last_recorded_at, a.found_streams, a.found_revisions, a.known_commands,
        a.taken_scopes, a.taken_values, a.taken_keys
    INTO STRICT appended, size, frontier, last_recorded_at, found_streams, found_revisions, known_commands,
        taken_scopes, taken_values, taken_keys
    FROM log.append(
        CASE WHEN as_assumed AND overtaken IS NULL THEN _size ELSE -1 END, _frontier, _recorded_at, _entries, _held_commands,
        _held_streams, _claim_scope, _claim_value, _claim_position, _key_owner, _key_wrapped, _key_master,
        _salt_command, _salt_owner, _salt, _token_owner, _token, _destroy
    ) AS a;
END
$$;

-- Two functions have the name now, the other for a program of before this migration.
REVOKE ALL ON FUNCTION log.append_on(
    bytea[], text[], integer[], text[], bigint[], text[], bigint, bytea[], timestamptz, log.new_entry[], uuid[], text[],
    text[], text[], bigint[], text[], bytea[], text[], uuid[], text[], bytea[], text[], bytea[], text[]
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append_on(
    bytea[], text[], integer[], text[], bigint[], text[], bigint, bytea[], timestamptz, log.new_entry[], uuid[], text[],
    text[], text[], bigint[], text[], bytea[], text[], uuid[], text[], bytea[], text[], bytea[], text[]
) TO registry_service;
