-- Shape b, lanes from the lane table.
-- One queue a statement: a loop in the client costs nothing here, and SQLite has no lateral join.
-- :now :queue :wanted :kinds (JSON) :worker :claim_id :lease
with lanes as materialized (
    select kind, priority from lane where queue = :queue and kind in (select value from json_each(:kinds))
)
update job set state = 1, generation = generation + 1, claim_id = :claim_id, worker = :worker, lease_until = :now + :lease
where seq in (
    select seq from (
        -- Lanes come highest priority first, so the outer sort is done level by level.
        select j.seq from (select kind, priority from lanes order by priority desc) l
        cross join job j on j.seq in (
            select c.seq from job c indexed by job_lane
            where c.state = 0 and c.queue = :queue and c.kind = l.kind and c.priority = l.priority and c.run_at <= :now
            order by c.run_at, c.id limit :wanted)
        order by l.priority desc, j.run_at, j.id limit :wanted)
) and :queue not in (select queue from paused_queue)
returning id, kind, queue, args, priority, run_at, attempts, crashes, max_attempts, max_crashes, generation,
          cancel_requested, metadata, unique_key;
