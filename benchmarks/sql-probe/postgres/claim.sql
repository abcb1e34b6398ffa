-- claim([(queue, limit)], kinds, worker, claim_id, lease): one statement. The line @found is replaced by one found_*.sql.
-- $1 now, $2 queues, $3 limits, $4 kinds, $5 worker, $6 claim_id, $7 lease.
with recursive asked as (
    select q.queue, q.wanted from unnest($2::text[], $3::integer[]) as q(queue, wanted)
    where q.wanted > 0 and not exists (select from paused_queue p where p.queue = q.queue)
),
@found
picked as materialized (
    -- found holds more candidates than asked (twice and 64), unlocked. Locking goes row by row under the limit: rows another claim
    -- holds are skipped, no row is locked that is not taken. State and time are checked again on the locked version.
    -- Materialized: a subquery with a limit that the planner may run twice can take more than asked.
    select p.id from asked a cross join lateral (
        select j.id from found f join job j on j.id = f.id
        where f.queue = a.queue and j.state = 0 and j.run_at <= store_now($1)
        order by f.priority desc, f.run_at, f.id
        limit a.wanted
        for update of j skip locked
    ) p
), taken as (
    update job set state = 1, generation = generation + 1, claim_id = $6::uuid, worker = $5::text,
                   lease_until = store_now($1) + $7::bigint
    from picked where job.id = picked.id
    returning job.*
), freed as (                                   -- keys held until started; in key order, as everywhere
    delete from unique_key where key in (
        select k.key from taken t join unique_key k on k.key = t.unique_key and k.job_id = t.id
        where k.hold = 1 order by k.key for update of k)
)
select id, kind, queue, args, priority, run_at, attempts, crashes, max_attempts, max_crashes, generation,
       cancel_requested, metadata, store_now($1) as store_now
from taken order by queue, priority desc, run_at, id
