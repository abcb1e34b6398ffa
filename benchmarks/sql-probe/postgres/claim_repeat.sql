-- A claim whose caller says "this is a repeat": what still runs under its claim_id. Empty: claim as if new.
-- Without an index on claim_id it reads the running rows through job_running. $1 claim_id.
select id, kind, queue, args, generation from job where state = 1 and claim_id = $1::uuid
