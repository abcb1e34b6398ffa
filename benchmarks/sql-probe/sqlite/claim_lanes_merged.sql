-- Shape b, lanes merged lazily: the line @arms stands for one arm a lane, joined by "union all":
--   select seq, priority, run_at, id from job indexed by job_lane
--   where state = 0 and queue = :queue and kind = 'KIND' and priority = LEVEL and run_at <= :now
-- Each arm comes out of the index in order, so SQLite merges them and stops at the limit. 500 arms at most.
-- :now :queue :wanted :worker :claim_id :lease
update job set state = 1, generation = generation + 1, claim_id = :claim_id, worker = :worker, lease_until = :now + :lease
where seq in (select seq from (
@arms
    order by priority desc, run_at, id limit :wanted)
) and :queue not in (select queue from paused_queue)
returning id, kind, queue, args, priority, run_at, attempts, crashes, max_attempts, max_crashes, generation,
          cancel_requested, metadata, unique_key;
