-- The columns of backgroundjobs-sqlite's table of jobs, and the one index without which nothing could be claimed.
CREATE TABLE jobs (
    id BLOB PRIMARY KEY NOT NULL,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    run_at INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    max_crashes INTEGER NOT NULL,
    flagged INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    worker BLOB,
    claim BLOB,
    created_at INTEGER NOT NULL,
    claimed_at INTEGER,
    finished_at INTEGER,
    unique_key TEXT,
    hold TEXT,
    metadata TEXT,
    args TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting ON jobs (lane, run_at, id) WHERE state = 0;
