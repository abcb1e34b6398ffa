-- prune({state: max_count}, limit). $1 state, $2 max_count, $3 limit. Reads max_count index entries to find the edge.
with edge as materialized (
    select finished_at, id from job where state = $1::smallint and finished_at is not null
    order by finished_at desc, id desc offset $2::integer limit 1
), old as materialized (
    select j.id from job j
    where j.state = $1::smallint and j.finished_at is not null
      and (j.finished_at, j.id) <= ((select finished_at from edge), (select id from edge))
    order by j.finished_at, j.id limit $3::integer for update skip locked
), errors as (
    delete from job_error where job_id in (select id from old)
), gone as (
    delete from job where id in (select id from old) returning 1
)
select count(*) as deleted from gone
