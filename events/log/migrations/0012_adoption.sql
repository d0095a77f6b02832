-- What an operator says when the log takes another name is signed (ADR 0027), and kept as it was signed.

ALTER TABLE log.origin ADD COLUMN statement text;

COMMENT ON COLUMN log.origin.statement IS 'A signed note that says the same as the row, and with which root; null for names taken before there were any.';
