-- insert(jobs): one statement, all or nothing.
-- $1 now, $2 ids, $3 kinds, $4 queues, $5 args, $6 priorities, $7 run_at (absolute) , $8 delays (when run_at is null),
-- $9 max attempts, $10 max crashes, $11 unique keys, $12 holds, $13 windows, $14 metadata.
-- The caller splits a batch that names an id or a key twice into parts without repeats, all in one transaction.
with given as (
    select * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[], $8::bigint[],
                         $9::integer[], $10::integer[], $11::text[], $12::smallint[], $13::bigint[], $14::text[])
    with ordinality as g(id, kind, queue, args, priority, run_at, delay,
                         max_attempts, max_crashes, key, hold, held_for, metadata, position)
), known as (
    select g.position, j.kind = g.kind and j.args = g.args as same from given g join job j on j.id = g.id
), fresh as (                                   -- empty when any item conflicts: then nothing is written
    select * from given
    where position not in (select position from known) and not exists (select from known where not same)
), keyed as (
    -- The update that changes nothing returns the holder even when it committed after our snapshot, so no second
    -- statement and no loop. Sorted: two batches take keys in the same order and cannot deadlock.
    insert into unique_key as held (key, job_id, hold, held_until)
    select key, id, hold, store_now($1) + held_for from fresh where key is not null order by key
    on conflict (key) do update set
        job_id     = case when held.held_until <= store_now($1) then excluded.job_id     else held.job_id     end,
        hold       = case when held.held_until <= store_now($1) then excluded.hold       else held.hold       end,
        held_until = case when held.held_until <= store_now($1) then excluded.held_until else held.held_until end
    returning key, job_id
), stored as (
    insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, unique_key, created_at, metadata)
    select f.id, f.kind, f.queue, f.args, f.priority, coalesce(f.run_at, store_now($1) + coalesce(f.delay, 0)),
           f.max_attempts, f.max_crashes, f.key, store_now($1), f.metadata
    from fresh f left join keyed on keyed.key = f.key
    where f.key is null or keyed.job_id = f.id
    order by f.id                               -- two batches with the same ids wait in the same order
    on conflict (id) do nothing
    returning id
)
select g.position,
       case when known.same then 'existing' when not known.same then 'conflict'
            when stored.id is not null then 'new'
            when keyed.job_id <> g.id then 'existing'
            -- written nothing because of a conflict elsewhere, or another transaction stored this id just now:
            -- roll back; if no item says conflict, run again
            else 'not written' end as answer,
       coalesce(keyed.job_id, g.id) as id, store_now($1) as store_now
from given g
left join known on known.position = g.position
left join keyed on keyed.key = g.key
left join stored on stored.id = g.id
order by g.position
