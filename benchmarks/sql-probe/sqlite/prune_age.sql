-- prune({state: max_age}, limit), one immediate transaction. :now :state :max_age :wanted
insert into answer (seq, id) select seq, id from job
where state = :state and finished_at is not null and finished_at <= :now - :max_age order by finished_at, id limit :wanted;
delete from job_error where job_id in (select id from answer);
delete from job where seq in (select seq from answer);
select (select count(*) from answer),
       (select min(finished_at) + :max_age from job where state = :state and finished_at is not null);
