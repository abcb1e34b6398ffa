-- next_due: the first later row of each lane. $1 now (the claim's store_now), $2 queues whose claim was not full, $3 kinds.
-- All ten levels are tried.
select q.queue, min(head.run_at) as next_due
from unnest($2::text[]) as q(queue) cross join unnest($3::text[]) as k(kind) cross join generate_series(0, 9) as p(priority)
cross join lateral (
    select run_at from job j
    where j.state = 0 and j.queue = q.queue and j.kind = k.kind and j.priority = p.priority::smallint
      and j.run_at > store_now($1)
    order by j.run_at limit 1
) head
where not exists (select from paused_queue p where p.queue = q.queue)
group by q.queue
