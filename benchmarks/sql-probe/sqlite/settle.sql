-- settle(outcomes), the batch in given_settle, one immediate transaction. Verdicts first, from the untouched rows.
insert into answer (position, seq, state, answer, id)
select g.position, case when j.state = 1 and j.generation = g.generation then j.seq end,
       case g.outcome when 'complete' then 2 when 'fail' then 3 when 'cancel' then 4 else iif(j.cancel_requested, 4, 0) end,
       case when j.state = 1 and j.generation = g.generation or j.settled = g.generation then 'applied' else 'lost' end, g.id
from given_settle g left join job j on j.id = g.id;
insert or replace into job_error select j.id, j.errors % 25, j.generation, :now, g.error
from answer a join given_settle g using (position) join job j on j.seq = a.seq where g.error is not null;
delete from unique_key where hold < 2 and (key, job_id) in (
    select j.unique_key, j.id from answer a join job j using (seq) where a.state >= 2 and j.unique_key is not null);
update job set
    state       = a.state,
    settled     = job.generation,
    attempts    = attempts + (g.outcome in ('retry', 'fail')),
    errors      = errors + (g.error is not null),
    crashes     = iif(g.outcome = 'release', crashes, 0),
    run_at      = iif(a.state = 0 and g.outcome in ('retry', 'snooze'), :now + g.delay, run_at),
    finished_at = iif(a.state >= 2, :now, null),
    claim_id = null, worker = null, lease_until = null
from answer a join given_settle g using (position) where job.seq = a.seq;
select position, answer from answer order by position;
