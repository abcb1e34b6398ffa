-- Feeds the optional lane table beside an insert.
insert or ignore into lane select distinct queue, kind, priority from given_job;
