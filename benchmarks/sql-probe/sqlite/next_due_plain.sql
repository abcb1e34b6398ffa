-- next_due with the plain index only: nothing but a walk. :now :queue :kinds
select min(run_at) from job indexed by job_plain
where state = 0 and queue = :queue and run_at > :now and kind in (select value from json_each(:kinds))
  and :queue not in (select queue from paused_queue);
