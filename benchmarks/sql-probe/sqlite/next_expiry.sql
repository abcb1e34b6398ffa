-- next_expiry: the earliest lease end of any worker.
select min(lease_until) from job where state = 1;
