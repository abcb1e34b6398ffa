-- recover(limit, crash_backoff): one guarded step. $1 now, $2 limit, $3 back-off.
with expired as materialized (
    select id, generation, unique_key, errors,
           (case when cancel_requested then 4 when crashes + 1 >= max_crashes then 3 else 0 end)::smallint as state
    from job where state = 1 and lease_until <= store_now($1)
    order by lease_until, id limit $2::integer for update skip locked
), moved as (
    update job j set
        state       = e.state,
        crashes     = j.crashes + 1,
        errors      = j.errors + 1,
        run_at      = case when e.state = 0 then store_now($1) + $3::bigint * (j.crashes + 1) else j.run_at end,
        finished_at = case when e.state >= 2 then store_now($1) end,
        claim_id = null, worker = null, lease_until = null      -- settled stays: a late settle is Lost
    from expired e where j.id = e.id
    returning j.id, j.state, j.run_at
), freed as (
    delete from unique_key where key in (
        select k.key from expired e join unique_key k on k.key = e.unique_key and k.job_id = e.id
        where e.state >= 2 and k.hold < 2 order by k.key for update of k)
), noted as (
    insert into job_error select id, errors % 25, generation, store_now($1), 'lease ran out' from expired
    on conflict (job_id, slot) do update
        set generation = excluded.generation, failed_at = excluded.failed_at, error = excluded.error
)
select id, state, run_at from moved
