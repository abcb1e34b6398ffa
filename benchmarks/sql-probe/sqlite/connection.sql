-- What each connection sets, and the temporary tables that carry a batch into a statement.
-- (json_each would do for everything but the ids, which are blobs: unhex() came with SQLite 3.41.)
pragma synchronous = full;
pragma busy_timeout = 5000;
pragma cache_size = -262144;
pragma temp_store = memory;
create temp table given_job (position integer primary key, id blob, kind text, queue text, args text, priority integer,
    run_at integer, max_attempts integer, max_crashes integer, key text, hold integer, held_for integer, metadata text);
create temp table given_settle (position integer primary key, id blob, generation integer, outcome text, delay integer, error text);
create temp table given_lease (position integer primary key, id blob, generation integer);
create temp table given_id (position integer primary key, id blob);
create temp table answer (position integer primary key, seq integer, state integer, answer text, id blob);
-- Tells the planner how large these tables are. Otherwise it takes them for a million rows and reads the whole job
-- table into a Bloom filter before each batch.
insert into given_settle default values; insert into given_lease default values; insert into given_id default values;
insert into given_job default values; insert into answer default values;
analyze temp;
delete from given_settle; delete from given_lease; delete from given_id; delete from given_job; delete from answer;
update temp.sqlite_stat1 set stat = '200';
analyze temp.sqlite_schema;
