-- Shape a: one index in claim order.
create index job_plain on job (queue, priority desc, run_at, id) where state = 0;
