-- prune({state: max_count}, limit), one immediate transaction. Reads max_count index entries to find the edge.
-- :state :max_count :wanted
insert into answer (seq, id) select seq, id from job
where state = :state and finished_at is not null and (finished_at, id) <= (
    select finished_at, id from job where state = :state and finished_at is not null order by finished_at desc, id desc limit 1 offset :max_count)
order by finished_at, id limit :wanted;
delete from job_error where job_id in (select id from answer);
delete from job where seq in (select seq from answer);
select count(*) from answer;
