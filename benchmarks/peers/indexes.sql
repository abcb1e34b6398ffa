-- The other two indexes of backgroundjobs-sqlite: what runs, for leases that run out; what is over, for clearing away. Its
-- own have the lane at their end as well, by which it counts.
CREATE INDEX running ON jobs (lease_until, id) WHERE state = 1;
CREATE INDEX over ON jobs (state, finished_at, id) WHERE state > 1;
