-- What a witness knows: whose logs it witnesses, and the last checkpoint of each that it cosigned. SQLite.

-- name: logs
CREATE TABLE IF NOT EXISTS log (
    origin TEXT NOT NULL,
    key TEXT NOT NULL,
    added_at TEXT NOT NULL,
    CONSTRAINT log_key PRIMARY KEY (origin, key)
);

-- name: checkpoints
CREATE TABLE IF NOT EXISTS checkpoint (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,
    cosigned_at TEXT NOT NULL,
    CONSTRAINT checkpoint_key PRIMARY KEY (origin),
    CONSTRAINT checkpoint_size_from_zero CHECK (size >= 0),
    CONSTRAINT checkpoint_root_is_sha256 CHECK (length(root) = 32)
);

-- name: forks
-- Two checkpoints over one size with two roots, both signed by the log: the proof that it showed two histories.
CREATE TABLE IF NOT EXISTS fork (
    origin TEXT NOT NULL,
    one BLOB NOT NULL,
    other BLOB NOT NULL,
    seen_at TEXT NOT NULL,
    CONSTRAINT fork_key PRIMARY KEY (origin)
);

-- name: never_back
-- Whatever the program does: what was cosigned is never gone back on.
CREATE TRIGGER IF NOT EXISTS checkpoint_never_goes_back BEFORE UPDATE ON checkpoint
WHEN new.origin <> old.origin OR new.size < old.size OR (new.size = old.size AND new.root <> old.root)
BEGIN
    SELECT RAISE(ABORT, 'a witness does not go back on what it cosigned');
END;

-- name: never_forgotten
CREATE TRIGGER IF NOT EXISTS checkpoint_is_never_forgotten BEFORE DELETE ON checkpoint
BEGIN
    SELECT RAISE(ABORT, 'a witness does not forget what it cosigned');
END;

-- name: add_log
-- ?1 origin, ?2 key, ?3 now.
INSERT INTO log (origin, key, added_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING;

-- name: remove_log
-- ?1 origin, ?2 key.
DELETE FROM log WHERE origin = ?1 AND key = ?2;

-- name: keys
-- ?1 origin.
SELECT key FROM log WHERE origin = ?1 ORDER BY added_at, key;

-- name: all_logs
SELECT l.origin, l.key, c.size, c.cosigned_at, f.seen_at
FROM log AS l
LEFT JOIN checkpoint AS c ON c.origin = l.origin
LEFT JOIN fork AS f ON f.origin = l.origin
ORDER BY l.origin, l.added_at, l.key;

-- name: last
-- ?1 origin.
SELECT size, root, note FROM checkpoint WHERE origin = ?1;

-- name: cosigned
-- ?1 origin, ?2 size, ?3 root, ?4 note, ?5 now.
INSERT INTO checkpoint (origin, size, root, note, cosigned_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (origin) DO UPDATE
SET size = excluded.size, root = excluded.root, note = excluded.note, cosigned_at = excluded.cosigned_at;

-- name: forked
-- The first one stays. ?1 origin, ?2 the note before, ?3 the other one, ?4 now.
INSERT INTO fork (origin, one, other, seen_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING;
