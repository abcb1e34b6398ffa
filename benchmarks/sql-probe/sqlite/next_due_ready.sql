-- next_due of shape c: the first unpromoted row of each kind. :now :queue :kinds
select min((select min(j.run_at) from job j indexed by job_unready_due
            where j.state = 0 and j.ready = 0 and j.queue = :queue and j.kind = k.value and j.run_at > :now))
from json_each(:kinds) k where :queue not in (select queue from paused_queue);
