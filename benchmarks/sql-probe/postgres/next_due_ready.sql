-- next_due of shape c: the first unpromoted row of each (queue, kind). $1 now, $2 queues, $3 kinds.
select q.queue, min(head.run_at) as next_due
from unnest($2::text[]) as q(queue) cross join unnest($3::text[]) as k(kind)
cross join lateral (
    select run_at from job j where j.state = 0 and not j.ready and j.queue = q.queue and j.kind = k.kind
      and j.run_at > store_now($1)
    order by j.run_at limit 1
) head
where not exists (select from paused_queue p where p.queue = q.queue)
group by q.queue
