-- Shape c only: flags rows that became due. Bounded; any worker may run it. $1 now, $2 limit.
with due as materialized (
    select id from job where state = 0 and not ready and run_at <= store_now($1)
    order by run_at, id limit $2::integer for update skip locked
)
update job set ready = true from due where job.id = due.id
