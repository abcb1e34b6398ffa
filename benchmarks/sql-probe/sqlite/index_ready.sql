-- Shape c: due rows are flagged `ready` by promote.sql; priority can then lead, for no future row stands in between.
create index job_ready on job (queue, kind, priority desc, run_at, id) where state = 0 and ready = 1;
create index job_unready on job (run_at, id) where state = 0 and ready = 0;
create index job_unready_due on job (queue, kind, run_at) where state = 0 and ready = 0;
