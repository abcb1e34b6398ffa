-- The rows of one situation. psql variables: situation (ordinary | hostile), rows (of the whole hostile table), now.
-- Ids are of version 7 and follow n, like ids made by a caller.
create or replace function probe_id(n bigint) returns uuid language sql immutable
return (lpad(to_hex(1780000000000 + n / 1000), 12, '0') || '7' || lpad(to_hex(n % 1000), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid;

create or replace function probe_rows(part text, first bigint, amount bigint, now bigint) returns void language sql as $$
insert into job (id, kind, queue, args, priority, run_at, state, attempts, max_attempts, max_crashes, generation, settled,
                 claim_id, worker, lease_until, created_at, finished_at, ready)
select probe_id(first + n),
       case part when 'foreign' then 'foreign' || n % 10 when 'wide' then 'wide' || n % 30
                 else (array['send', 'resize', 'report'])[1 + n % 3] end,
       case part when 'paused' then 'held' when 'future' then 'default' when 'foreign' then 'default' when 'wide' then 'wide'
                 else (array['default', 'default', 'default', 'mail', 'reports'])[1 + n % 5] end,
       '{"to":"someone-' || n || '@example.org","subject":"' || repeat('x', 60) || '"}',
       case part when 'future' then 9 when 'foreign' then 8 when 'paused' then 5 when 'wide' then n / 30 % 10
                 else (array[7, 5, 5, 5, 3, 5, 5])[1 + n % 7] end,
       case part when 'future' then now + 86400000000 + n else now - 3600000000 + n end,
       case part when 'finished' then (case when n % 20 = 0 then 3 when n % 20 = 1 then 4 else 2 end)
                 when 'running' then 1 else 0 end,
       (part = 'finished')::int, 11, 3, (part in ('finished', 'running'))::int, (part = 'finished')::int,
       case when part = 'running' then probe_id(n / 50) end, case when part = 'running' then 'worker-' || n / 50 end,
       case when part = 'running' then now + 10000000 + n * 4000 end,
       now - 7200000000, case when part = 'finished' then now - 3600000000 + n * 1000 end,
       part not in ('finished', 'running', 'future')
from generate_series(0, amount - 1) as n
$$;

select (:'situation' = 'ordinary') as ordinary \gset
\if :ordinary
    select probe_rows('finished', 0, :rows * 40 / 100, :now);
    select probe_rows('running', 100000000, :rows / 200, :now);
    select probe_rows('due', 200000000, :rows * 145 / 1000, :now);
    select probe_rows('wide', 300000000, 9000, :now);
\else
    select probe_rows('future', 400000000, :rows * 20 / 100, :now);
    select probe_rows('foreign', 500000000, :rows * 15 / 100, :now);
    select probe_rows('paused', 600000000, :rows * 10 / 100, :now);
    insert into paused_queue values ('held');
\endif
insert into lane select distinct queue, kind, priority from job on conflict do nothing;
vacuum analyze;
