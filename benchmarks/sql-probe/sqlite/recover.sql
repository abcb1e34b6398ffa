-- recover(limit, crash_backoff): one immediate transaction. :now :wanted :backoff
insert into answer (seq, state, id)
select seq, case when cancel_requested then 4 when crashes + 1 >= max_crashes then 3 else 0 end, id
from job where state = 1 and lease_until <= :now order by lease_until, id limit :wanted;
insert or replace into job_error select a.id, j.errors % 25, j.generation, :now, 'lease ran out' from answer a join job j using (seq);
delete from unique_key where hold < 2 and (key, job_id) in (
    select j.unique_key, j.id from answer a join job j using (seq) where a.state >= 2 and j.unique_key is not null);
update job set
    state       = a.state,
    crashes     = crashes + 1,
    errors      = errors + 1,
    run_at      = iif(a.state = 0, :now + :backoff * (crashes + 1), run_at),
    finished_at = iif(a.state >= 2, :now, null),
    claim_id = null, worker = null, lease_until = null
from answer a where job.seq = a.seq;
select hex(id), state from answer;
