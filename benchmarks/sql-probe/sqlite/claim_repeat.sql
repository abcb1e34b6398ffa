-- A claim whose caller says "this is a repeat": what still runs under its claim_id. Empty: claim as if new.
select id, kind, queue, args, generation from job where state = 1 and claim_id = :claim_id;
