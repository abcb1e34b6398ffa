-- Shape a: walk the claim order, filter kind and time.
found as (
    select a.queue, c.id, c.priority, c.run_at
    from asked a cross join lateral (
        select id, priority, run_at from job
        where state = 0 and queue = a.queue and run_at <= store_now($1) and kind = any ($4::text[])
        order by priority desc, run_at, id limit a.wanted * 2 + 64
    ) c
),
