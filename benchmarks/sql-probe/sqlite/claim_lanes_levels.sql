-- Shape b, lanes not known: all ten levels of each kind are tried.
-- One queue a statement: a loop in the client costs nothing here, and SQLite has no lateral join.
-- :now :queue :wanted :kinds (JSON) :worker :claim_id :lease
with lanes as materialized (
    select k.value as kind, p.value as priority from json_each(:kinds) k cross join json_each('[9,8,7,6,5,4,3,2,1,0]') p
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
