-- Shape c: one range probe a (queue, kind); every row in the index is due.
found as (
    select a.queue, c.id, c.priority, c.run_at
    from asked a cross join lateral (
        select j.id, j.priority, j.run_at
        from unnest($4::text[]) as k(kind) cross join lateral (
            select id, priority, run_at from job
            where state = 0 and ready and queue = a.queue and kind = k.kind and run_at <= store_now($1)
            order by priority desc, run_at, id limit a.wanted * 2 + 64
        ) j
        order by j.priority desc, j.run_at, j.id limit a.wanted * 2 + 64
    ) c
),
