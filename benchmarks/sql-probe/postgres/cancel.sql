-- cancel(ids): waiting ends, running is flagged, finished stays. $1 now, $2 ids.
with held as materialized (
    select id, state, unique_key from job where id = any ($2::uuid[]) order by id for update
), moved as (
    update job j set
        state            = case when h.state = 0 then 4 else j.state end,
        finished_at      = case when h.state = 0 then store_now($1) end,
        cancel_requested = true
    from held h where j.id = h.id and h.state in (0, 1)
), freed as (
    delete from unique_key where key in (
        select k.key from held h join unique_key k on k.key = h.unique_key and k.job_id = h.id
        where h.state = 0 and k.hold < 2 order by k.key for update of k)
)
select id, case state when 0 then 'cancelled' when 1 then 'flagged' else 'finished' end as answer from held order by id
