-- Shape b: one range a lane (queue, kind, priority).
create index job_lane on job (queue, kind, priority, run_at, id) where state = 0;
