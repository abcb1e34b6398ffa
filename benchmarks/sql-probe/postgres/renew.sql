-- renew(leases, lease): one statement. $1 now, $2 ids, $3 generations, $4 lease.
with given as (
    select * from unnest($2::uuid[], $3::bigint[]) with ordinality as g(id, generation, position)
), held as materialized (                       -- rows are locked in id order, as everywhere: no deadlock
    select j.id from given g join job j on j.id = g.id and j.generation = g.generation
    where j.state = 1 order by j.id for update of j
), extended as (
    update job set lease_until = store_now($1) + $4::bigint from held where job.id = held.id
    returning job.id, job.generation, job.cancel_requested
)
select g.position, case when e.id is null then 'lost' when e.cancel_requested then 'cancel requested' else 'held' end as answer
from given g left join extended e on e.id = g.id and e.generation = g.generation
order by g.position
