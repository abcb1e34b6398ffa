-- settle(outcomes): one statement. $1 now, $2 ids, $3 generations, $4 outcomes, $5 delays, $6 errors.
with given as (
    select * from unnest($2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
    with ordinality as g(id, generation, outcome, delay, error, position)
), held as materialized (                       -- the newest version of each row, locked in id order
    select j.id, j.generation, j.settled, j.state, j.cancel_requested, j.unique_key, j.errors from job j
    where j.id = any ($2::uuid[]) order by j.id for update
), step as (
    select distinct on (h.id) h.id, h.generation, h.unique_key, h.errors, g.outcome, g.delay, g.error,
           (case g.outcome when 'complete' then 2 when 'fail' then 3 when 'cancel' then 4
                 else case when h.cancel_requested then 4 else 0 end end)::smallint as state
    from given g join held h on h.id = g.id and h.generation = g.generation and h.state = 1
    order by h.id, g.position
), applied as (
    update job j set
        state       = s.state,
        settled     = j.generation,
        attempts    = j.attempts + (s.outcome in ('retry', 'fail'))::integer,
        errors      = j.errors + (s.error is not null)::integer,
        crashes     = case when s.outcome = 'release' then j.crashes else 0 end,
        run_at      = case when s.state = 0 and s.outcome in ('retry', 'snooze') then store_now($1) + s.delay else j.run_at end,
        finished_at = case when s.state >= 2 then store_now($1) end,
        claim_id = null, worker = null, lease_until = null
    from step s where j.id = s.id
), freed as (
    delete from unique_key where key in (
        select k.key from step s join unique_key k on k.key = s.unique_key and k.job_id = s.id
        where s.state >= 2 and k.hold < 2 order by k.key for update of k)
), noted as (
    insert into job_error select id, errors % 25, generation, store_now($1), error from step where error is not null
    on conflict (job_id, slot) do update
        set generation = excluded.generation, failed_at = excluded.failed_at, error = excluded.error
)
select g.position,
       case when h.state = 1 and h.generation = g.generation or h.settled = g.generation then 'applied' else 'lost' end as answer
from given g left join held h on h.id = g.id
order by g.position
