-- prune({state: max_age}, limit). $1 now, $2 state, $3 max_age, $4 limit. Unique keys stay: a window outlives its job.
-- "finished_at is not null" is how the planner knows, with any parameters, that the partial index will do.
with old as materialized (
    select id from job where state = $2::smallint and finished_at is not null and finished_at <= store_now($1) - $3::bigint
    order by finished_at, id limit $4::integer for update skip locked
), errors as (
    delete from job_error where job_id in (select id from old)
), gone as (
    delete from job where id in (select id from old) returning 1
)
select (select count(*) from gone) as deleted,
       (select finished_at + $3::bigint from job where state = $2::smallint and finished_at is not null
        order by finished_at, id offset (select count(*) from old) limit 1) as next_work
