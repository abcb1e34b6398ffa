-- Shape c only: flags rows that became due. Bounded. :now :wanted
update job set ready = 1 where seq in (
    select seq from job indexed by job_unready where state = 0 and ready = 0 and run_at <= :now order by run_at, id limit :wanted);
