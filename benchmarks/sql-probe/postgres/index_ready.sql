-- Shape c: due rows are flagged `ready` by promote.sql; priority can then lead, for no future row stands in between.
create index job_ready on job (queue, kind, priority desc, run_at, id) where state = 0 and ready;
-- What promotion takes next.
create index job_unready on job (run_at, id) where state = 0 and not ready;
-- next_due of shape c: the first future row of a (queue, kind).
create index job_unready_due on job (queue, kind, run_at) where state = 0 and not ready;
