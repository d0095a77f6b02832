-- What each witness cosigned last, found without going through what it did not cosign.

CREATE INDEX signature_by_witness ON log.signature (origin, name, key_id, size) WHERE name <> origin;

COMMENT ON INDEX log.signature_by_witness IS 'The cosignatures: the log''s own signatures bear its name.';
