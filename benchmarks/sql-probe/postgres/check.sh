# The promises of the contract on a small PostgreSQL database. Sourced by ./run.
source "$here/postgres/statements.sh"
createdb check
open_engine postgres check
ask "$(cat "$here"/postgres/{schema,data_shape_c,index_lanes,index_plain,index_ready}.sql)"
pg_prepare

id() { printf '00000000-0000-7000-8000-%012d' "$1"; }
# put NUMBER KIND QUEUE PRIORITY RUN_AT [KEY HOLD WINDOW]: insert one job
put() {
    echo "execute insert_statement(1000, '{$(id "$1")}', '{$2}', '{$3}', '{args}', '{$4}', '{$5}', '{null}',
          '{11}', '{3}', '{${6:-null}}', '{${7:-null}}', '{${8:-null}}', array['{}']);"
}
state() { echo "select state, generation, settled, attempts, crashes from job where id = '$(id "$1")';"; }
claim() { # SHAPE NOW LIMIT CLAIM
    echo "execute claim_$1($2, '{default,held}', '{$3,$3}', '{mine}', 'w', '$(id "$4")', 100);"
}
settle() { # NOW NUMBER GENERATION OUTCOME DELAY ERROR
    echo "execute settle_statement($1, '{$(id "$2")}', '{$3}', '{$4}', '{${5:-null}}', '{${6:-null}}');"
}

# insert
expect 'insert answers new' "1|new|$(id 1)|1000" "$(put 1 mine default 5 1000)"
expect 'same id, same content: existing' "1|existing|$(id 1)|1000" "$(put 1 mine default 5 1000)"
expect 'one conflict writes nothing' "1|not written|$(id 90)|1000 2|conflict|$(id 1)|1000" \
    "execute insert_statement(1000, '{$(id 90),$(id 1)}', '{mine,other}', '{default,default}', '{a,args}', '{5,5}', '{1,1}', '{null,null}',
     '{11,11}', '{3,3}', '{null,null}', '{null,null}', '{null,null}', '{m,m}');"
expect 'nothing was written' 0 "select count(*) from job where id = '$(id 90)';"
expect 'a key is taken' "1|new|$(id 2)|1000" "$(put 2 mine default 5 1001 k 0)"
expect 'a taken key names its holder' "1|existing|$(id 2)|1000" "$(put 3 mine default 5 1001 k 0)"
expect 'no row for it' 0 "select count(*) from job where id = '$(id 3)';"

# claim: not foreign, not paused, not future; in order; never more than asked
ask "insert into paused_queue values ('held');
$(put 10 foreign default 9 1000) $(put 11 mine held 9 1000) $(put 12 mine default 9 5000) $(put 13 mine default 7 1002) $(put 14 mine default 3 999)"
ask "update job set ready = true where run_at <= 2000;"
for shape in plain lanes_table lanes_levels lanes_index ready; do
    [[ $shape == lanes_table ]] && ask "insert into lane select distinct queue, kind, priority from job;"
    ask "begin; $(claim $shape 2000 10 50) rollback;"
    order=$(grep -o '0000000000[0-9][0-9]|mine' <<< "$reply" | cut -c11-12 | paste -sd' ')
    expect "$shape: order, kinds, pause, future" '13 01 02 14' "\\echo $order"
    ask "begin; $(claim $shape 2000 2 50) rollback;"
    expect "$shape: never more than asked" 2 "\\echo $(grep -o '|mine|' <<< "$reply" | wc -l)"
done
expect 'next_due leaves out paused and foreign' 'default|5000' "execute next_due_lanes_statement(2000, '{default,held}', '{mine}');"

# settle and its fence
ask "$(claim lanes_levels 2000 1 51)"                      # takes 13
expect 'repeat of a claim_id' "$(id 13)|mine|default|args|1" "execute claim_repeat_statement('$(id 51)');"
expect 'renew: held and lost' "1|held 2|lost 3|lost" \
    "execute renew_statement(2010, '{$(id 13),$(id 13),$(id 99)}', '{1,2,1}', 100);"
expect 'next_expiry' 2110 "execute next_expiry_statement;"
expect 'settle of another generation is lost' '1|lost' "$(settle 2020 13 2 complete)"
expect 'retry is applied' '1|applied' "$(settle 2020 13 1 retry 10 broken)"
expect 'retry waits, one attempt' '0|1|1|1|0' "$(state 13)"
expect 'settle repeated is applied' '1|applied' "$(settle 2021 13 1 complete)"
expect '... and changes nothing' '0|1|1|1|0' "$(state 13)"
ask "update job set ready = true; $(claim lanes_levels 2030 1 52)"
expect 'repeated while running under g + 1' '1|applied' "$(settle 2031 13 1 retry 10)"
expect '... still running' '1|2|1|1|0' "$(state 13)"
expect 'cancel flags a running job' "$(id 13)|flagged" "execute cancel_statement(2032, '{$(id 13)}');"
expect 'renew says so' '1|cancel requested' "execute renew_statement(2033, '{$(id 13)}', '{2}', 100);"
expect 'flagged retry is applied' '1|applied' "$(settle 2034 13 2 retry 10)"
expect 'flagged retry ends in cancelled' '4|2|2|2|0' "$(state 13)"
expect 'stale generation is lost' '1|lost' "$(settle 2035 13 1 complete)"
ask "$(claim lanes_levels 2040 2 53)"                      # takes 1 and 2
expect 'the key goes at the end' '1|applied 0' "$(settle 2041 2 1 complete) select count(*) from unique_key;"

# recover
ask "$(put 20 mine crash 5 1000) update job set state = 1, generation = 1, lease_until = 3000 where id = '$(id 20)';"
expect 'recover leaves a live lease' '' "execute recover_statement(2999, 0, 30);"
expect 'recover takes back, back-off counts' "$(id 20)|0|3030" \
    "delete from job where state = 1 and id <> '$(id 20)'; execute recover_statement(3000, 10, 30);"
expect 'a late settle is lost' '1|lost' "$(settle 3001 20 1 complete)"
ask "update job set state = 1, generation = 3, crashes = 2, lease_until = 3100 where id = '$(id 20)';"
expect 'recover fails at the crash limit' "$(id 20)|3|3030" "execute recover_statement(3100, 10, 30);"

# errors: the last 25
ask "$(put 21 mine errors 5 1000) insert into job_error select '$(id 21)', n - 1, n, n, 'x' from generate_series(1, 25) n;
     update job set state = 1, errors = 25, generation = 30 where id = '$(id 21)';"
expect 'errors are trimmed to 25' '1|applied 25|2|30' \
    "$(settle 4000 21 30 fail null last) select count(*), min(generation), max(generation) from job_error where job_id = '$(id 21)';"

# prune
ask "delete from job; insert into job (id, kind, queue, args, priority, run_at, state, max_attempts, max_crashes, created_at, finished_at)
     select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'k', 'q', 'a', 5, 0, 2, 1, 1, 0, n from generate_series(1, 100) n;"
expect 'prune by age: bounded, says when next' '10|61' "execute prune_age_statement(100, 2::smallint, 50, 10);"
expect 'prune by age: next work' '40|101' "execute prune_age_statement(100, 2::smallint, 50, 1000);"
expect 'prune by count keeps the newest' '30 20|81' \
    "execute prune_count_statement(2::smallint, 20, 1000); select count(*), min(finished_at) from job;"

# concurrency: 4 clients claim 20 each until nothing is left; nobody gets a job twice
ask "truncate job; insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, created_at)
     select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'mine', 'default', 'a', n % 3, n, 1, 1, 0 from generate_series(1, 10000) n; analyze job;"
race="prepare c as $(sed -e "/^@found$/{r $here/postgres/found_lanes_levels.sql" -e 'd}' "$here/postgres/claim.sql");"
for ((i = 0; i < 100; i++)); do race+=$'\n'"execute c(20000, '{default}', '{20}', '{mine}', 'w', gen_random_uuid(), 100);"; done
for ((i = 0; i < 4; i++)); do psql -qAtX -v ON_ERROR_STOP=1 -d check <<< "$race" > "$temp/race.$i" & racers[i]=$!; done
for ((i = 0; i < 4; i++)); do wait "${racers[i]}"; done
expect 'race: no job claimed twice' 0 "select count(*) from job where generation > 1;"
expect 'race: rows and replies agree' "$(cat "$temp"/race.* | wc -l)" "select count(*) from job where state = 1;"
race_total=$(cat "$temp"/race.* | wc -l)
expect 'race: each job answered once' "$race_total" "select $(cat "$temp"/race.* | cut -d'|' -f1 | sort -u | wc -l);"
close_engine
