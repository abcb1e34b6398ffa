-- Shape c: one range probe a kind; every row in the index is due.
-- One queue a statement: a loop in the client costs nothing here, and SQLite has no lateral join.
-- :now :queue :wanted :kinds (JSON) :worker :claim_id :lease
with kinds(kind) as (select value from json_each(:kinds))
update job set state = 1, generation = generation + 1, claim_id = :claim_id, worker = :worker, lease_until = :now + :lease
where seq in (
    select seq from (
        select j.seq from kinds k
        cross join job j on j.seq in (
            select c.seq from job c indexed by job_ready
            where c.state = 0 and c.ready = 1 and c.queue = :queue and c.kind = k.kind and c.run_at <= :now
            order by c.priority desc, c.run_at, c.id limit :wanted)
        order by j.priority desc, j.run_at, j.id limit :wanted)
) and :queue not in (select queue from paused_queue)
returning id, kind, queue, args, priority, run_at, attempts, crashes, max_attempts, max_crashes, generation,
          cancel_requested, metadata, unique_key;
