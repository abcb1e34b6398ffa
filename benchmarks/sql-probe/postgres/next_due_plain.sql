-- next_due with the plain index only: nothing but a walk. $1 now, $2 queues, $3 kinds.
select q.queue, (select min(run_at) from job j where j.state = 0 and j.queue = q.queue
                 and j.kind = any ($3::text[]) and j.run_at > store_now($1)) as next_due
from unnest($2::text[]) as q(queue) where not exists (select from paused_queue p where p.queue = q.queue)
