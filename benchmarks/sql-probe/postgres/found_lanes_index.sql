-- Shape b, lanes read off the index: from level to level of each (queue, kind), highest first. Levels in use + 1 probes.
level(queue, kind, priority) as (
    select a.queue, k.kind, (select max(j.priority) from job j where j.state = 0 and j.queue = a.queue and j.kind = k.kind)
    from asked a cross join unnest($4::text[]) as k(kind)
    union all
    select l.queue, l.kind, (select max(j.priority) from job j
                             where j.state = 0 and j.queue = l.queue and j.kind = l.kind and j.priority < l.priority)
    from level l where l.priority is not null
),
lanes as (select * from level where priority is not null),
found as (
    select a.queue, c.id, c.priority, c.run_at
    from asked a cross join lateral (
        select j.id, j.priority, j.run_at
        from (select * from lanes where lanes.queue = a.queue order by priority desc) l
        cross join lateral (
            select id, priority, run_at from job
            where state = 0 and queue = l.queue and kind = l.kind and priority = l.priority
              and run_at <= store_now($1)
            order by run_at, id limit a.wanted * 2 + 64
        ) j
        -- Lanes come highest priority first, so the sort is incremental and stops at the level that fills the limit.
        order by l.priority desc, j.run_at, j.id limit a.wanted * 2 + 64
    ) c
),
