-- prepare(): everything one store needs. Times and durations are microseconds. SQLite's time source is the caller:
-- every statement takes :now (a client without one binds its own clock), so no statement reads a clock.
pragma journal_mode = wal;

create table job (
    seq              integer primary key,               -- private row number: 8 bytes in each index instead of 16
    id               blob    not null unique,
    kind             text    not null,
    queue            text    not null,
    args             text    not null,
    priority         integer not null check (priority between 0 and 9),
    run_at           integer not null,
    state            integer not null default 0,        -- 0 waiting 1 running 2 succeeded 3 failed 4 cancelled
    attempts         integer not null default 0,
    crashes          integer not null default 0,
    max_attempts     integer not null,
    max_crashes      integer not null,
    generation       integer not null default 0,        -- +1 each claim, never reset: the fencing token
    settled          integer not null default 0,        -- generation of the last applied settle
    claim_id         blob,
    worker           text,
    lease_until      integer,
    cancel_requested integer not null default 0,
    errors           integer not null default 0,        -- errors ever written: the next one goes to slot errors % 25
    unique_key       text,                              -- so that releasing a key needs no index on unique_key (job_id)
    created_at       integer not null,
    finished_at      integer,
    metadata         text    not null default '{}'
) strict;

create index job_running on job (lease_until, id) where state = 1;
create index job_finished on job (state, finished_at, id) where finished_at is not null;

-- The last 25 errors of a job: a ring of slots, so that nothing must be counted or trimmed.
create table job_error (
    job_id     blob    not null,
    slot       integer not null,
    generation integer not null,
    failed_at  integer not null,
    error      text    not null,
    primary key (job_id, slot)
) strict;

create table unique_key (
    key        text    primary key,
    job_id     blob    not null,
    hold       integer not null,                        -- 0 until finished, 1 until started, 2 until held_until
    held_until integer
) strict;

create table paused_queue (queue text primary key) strict;
create table lane (queue text, kind text, priority integer, primary key (queue, kind, priority)) strict, without rowid;
