-- The master key that the vault's keys were wrapped anew by (ADR 0041). A process that still has the one before would add
-- keys that nobody can open with the new one: they are refused.

LOCK TABLE vault.key IN SHARE ROW EXCLUSIVE MODE;  -- before vault.mark, as whoever writes a key takes them

ALTER TABLE vault.mark ADD COLUMN master_key_id text;

COMMENT ON COLUMN vault.mark.master_key_id IS 'The master key that keys were last wrapped anew by; null if they never were.';

-- Keys of a backup from before may be put back: by the owner of the table, and by anybody where no key is wrapped by the
-- new one.
CREATE FUNCTION vault.refuse_another_master_key() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expected text;
BEGIN
    SELECT m.master_key_id INTO expected FROM vault.mark AS m WHERE m.one;
    IF NEW.master_key_id <> expected
        AND EXISTS (SELECT FROM vault.key AS k WHERE k.master_key_id = expected)
        AND NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'MEMBER')
    THEN
        RAISE EXCEPTION 'a key that is wrapped by the master key % is refused: keys are wrapped by % now',
            NEW.master_key_id, expected USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION vault.refuse_another_master_key() FROM PUBLIC;

CREATE TRIGGER key_refuses_another_master_key BEFORE INSERT ON vault.key
    FOR EACH ROW EXECUTE FUNCTION vault.refuse_another_master_key();
ALTER TABLE vault.key ENABLE ALWAYS TRIGGER key_refuses_another_master_key;
