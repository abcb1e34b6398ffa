-- insert(jobs), the batch in given_job, inside one immediate transaction. The caller commits unless an answer is
-- 'conflict'. A batch that names an id or a key twice is sent in parts without repeats, in the same transaction.
insert into answer (position, answer, id)
select g.position, case when j.kind = g.kind and j.args = g.args then 'existing' else 'conflict' end, g.id
from given_job g join job j on j.id = g.id;
delete from unique_key where held_until <= :now and key in (select key from given_job where key is not null);
insert into answer (position, answer, id)
select g.position, 'existing', k.job_id from given_job g join unique_key k on k.key = g.key
where g.position not in (select position from answer);
insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, unique_key, created_at, metadata)
select id, kind, queue, args, priority, coalesce(run_at, :now), max_attempts, max_crashes, key, :now, metadata
from given_job where position not in (select position from answer) order by position;
insert into unique_key
select key, id, hold, :now + held_for from given_job where key is not null and position not in (select position from answer);
select g.position, coalesce(a.answer, 'new'), hex(coalesce(a.id, g.id)) from given_job g left join answer a using (position) order by 1;
