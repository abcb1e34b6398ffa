-- Feeds the optional lane table beside an insert. $1 queues, $2 kinds, $3 priorities. Sorted against deadlock.
-- Anyone who inserts a lane that an open transaction is just adding waits until that transaction ends.
insert into lane
select distinct queue, kind, priority from unnest($1::text[], $2::text[], $3::smallint[]) as g(queue, kind, priority)
order by 1, 2, 3
on conflict do nothing
