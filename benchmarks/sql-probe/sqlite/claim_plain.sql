-- Shape a: walk the claim order, filter kind and time.
-- One queue a statement: a loop in the client costs nothing here, and SQLite has no lateral join.
-- :now :queue :wanted :kinds (JSON) :worker :claim_id :lease
with kinds(kind) as (select value from json_each(:kinds))
update job set state = 1, generation = generation + 1, claim_id = :claim_id, worker = :worker, lease_until = :now + :lease
where seq in (
    select seq from job indexed by job_plain
    where state = 0 and queue = :queue and run_at <= :now and kind in (select kind from kinds)
    order by priority desc, run_at, id limit :wanted
) and :queue not in (select queue from paused_queue)
returning id, kind, queue, args, priority, run_at, attempts, crashes, max_attempts, max_crashes, generation,
          cancel_requested, metadata, unique_key;
