-- Shape b, lanes not known: all ten levels of each (queue, kind) are tried.
lanes as (
    select a.queue, k.kind, p.priority::smallint
    from asked a cross join unnest($4::text[]) as k(kind) cross join generate_series(0, 9) as p(priority)
),
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
