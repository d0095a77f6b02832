-- A mark that is another one whenever a key of the vault was made or destroyed (ADR 0030): what was said of an entry, a
-- person or a document at one size of the log may be said otherwise then, and must not be taken for unchanged.
-- It is random and no counter, so that one that was restored from a backup never comes to say the same twice.

CREATE TABLE vault.mark (
    one boolean NOT NULL DEFAULT true,
    mark uuid NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT mark_pkey PRIMARY KEY (one),
    CONSTRAINT mark_one_row CHECK (one)
);
INSERT INTO vault.mark DEFAULT VALUES;

COMMENT ON TABLE vault.mark IS 'Another one after each change of vault.key, in the same transaction.';

-- It acts for its owner: whoever changes keys could otherwise set the mark as well.
CREATE FUNCTION vault.change_mark() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vault.mark SET mark = gen_random_uuid() WHERE one;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION vault.change_mark() FROM PUBLIC;

-- ALWAYS: also under session_replication_role = replica, as where a backup is restored.
CREATE TRIGGER key_changes_mark AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON vault.key
    FOR EACH STATEMENT EXECUTE FUNCTION vault.change_mark();
ALTER TABLE vault.key ENABLE ALWAYS TRIGGER key_changes_mark;

GRANT SELECT ON vault.mark TO registry_service;
