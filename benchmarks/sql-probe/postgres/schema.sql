-- prepare(): everything one store needs. All times are microseconds since 1970 UTC, all durations microseconds.

-- The one place that knows the two time sources: the time the caller gave, else this server's clock.
-- statement_timestamp(), not now(): inside a long transaction of the user's now() lies in the past.
create function store_now(given bigint) returns bigint language sql stable
return coalesce(given, (extract(epoch from statement_timestamp()) * 1000000)::bigint);

create table job (
    id               uuid     primary key,              -- version 7, made by the caller
    kind             text     not null,
    queue            text     not null,
    args             text     not null,                 -- never jsonb: it must come back byte for byte
    priority         smallint not null check (priority between 0 and 9),   -- higher first
    run_at           bigint   not null,
    state            smallint not null default 0,       -- 0 waiting 1 running 2 succeeded 3 failed 4 cancelled
    attempts         integer  not null default 0,       -- handler failures
    crashes          integer  not null default 0,       -- leases lost in a row
    max_attempts     integer  not null,
    max_crashes      integer  not null,
    generation       bigint   not null default 0,       -- +1 each claim, never reset: the fencing token
    settled          bigint   not null default 0,       -- generation of the last applied settle
    claim_id         uuid,
    worker           text,
    lease_until      bigint,
    cancel_requested boolean  not null default false,
    errors           integer  not null default 0,       -- errors ever written: the next one goes to slot errors % 25
    unique_key       text,                              -- so that releasing a key needs no index on unique_key (job_id)
    created_at       bigint   not null,
    finished_at      bigint,
    metadata         text     not null default '{}'
);

-- Leases by their end: recover, next_expiry. Small: only running rows are in it.
create index job_running on job (lease_until, id) where state = 1;
-- Finished jobs by age, one range a state: prune.
create index job_finished on job (state, finished_at, id) where finished_at is not null;
-- The index of waiting jobs depends on the shape of the claim: see index_*.sql.

-- The last 25 errors of a job: a ring of slots, so that nothing must be counted or trimmed.
create table job_error (
    job_id     uuid    not null,
    slot       integer not null,
    generation bigint  not null,
    failed_at  bigint  not null,
    error      text    not null,
    primary key (job_id, slot)
);

-- A key is a row of its own: a partial index over jobs could not say "until 12:00".
create table unique_key (
    key        text     primary key,
    job_id     uuid     not null,
    hold       smallint not null,                       -- 0 until finished, 1 until started, 2 until held_until
    held_until bigint
);

create table paused_queue (queue text primary key);

-- Optional: which lanes were ever used. Only found_lanes_table.sql reads it.
create table lane (queue text, kind text, priority smallint, primary key (queue, kind, priority));
