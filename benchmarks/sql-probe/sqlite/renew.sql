-- renew(leases, lease), the batch in given_lease, one immediate transaction.
update job set lease_until = :now + :lease from given_lease g where job.id = g.id and job.generation = g.generation and job.state = 1;
select g.position, case when j.id is null then 'lost' when j.cancel_requested then 'cancel requested' else 'held' end
from given_lease g left join job j on j.id = g.id and j.generation = g.generation and j.state = 1 order by g.position;
