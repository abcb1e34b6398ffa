-- next_due: the first later row of each lane, all ten levels tried. :now :queue :kinds
select min((select min(j.run_at) from job j indexed by job_lane
            where j.state = 0 and j.queue = :queue and j.kind = k.value and j.priority = p.value and j.run_at > :now))
from json_each(:kinds) k cross join json_each('[9,8,7,6,5,4,3,2,1,0]') p
where :queue not in (select queue from paused_queue);
