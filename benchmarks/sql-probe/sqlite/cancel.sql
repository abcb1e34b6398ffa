-- cancel(ids), the batch in given_id, one immediate transaction.
insert into answer (position, seq, state, id) select g.position, j.seq, j.state, j.id from given_id g join job j on j.id = g.id;
delete from unique_key where hold < 2 and (key, job_id) in (
    select j.unique_key, j.id from answer a join job j using (seq) where a.state = 0 and j.unique_key is not null);
update job set state = iif(a.state = 0, 4, a.state), finished_at = iif(a.state = 0, :now, null), cancel_requested = 1
from answer a where job.seq = a.seq and a.state in (0, 1);
select position, case state when 0 then 'cancelled' when 1 then 'flagged' else 'finished' end from answer order by position;
