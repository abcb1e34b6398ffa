# The promises of the contract on a small SQLite database. Sourced by ./run.
open_engine sqlite "$temp/check.db"
ask "$(cat "$here"/sqlite/{schema,data_shape_c,index_lanes,index_plain,index_ready,connection}.sql)"
ask '.parameter init'

# Statements by their file name. `with NAME VALUE...` binds parameters (SQL expressions).
sq() {
    if [[ $1 != claim_lanes_merged ]]; then cat "$here/sqlite/$1.sql"; return; fi
    local kind level arms=''
    for kind in $merged_kinds; do
        for level in $merged_levels; do
            arms+="${arms:+ union all }select seq, priority, run_at, id from job indexed by job_lane
                where state = 0 and queue = :queue and kind = '$kind' and priority = $level and run_at <= :now"
        done
    done
    sed "s/^@arms/${arms//$'\n'/ }/" "$here/sqlite/$1.sql"
}
merged_kinds=mine merged_levels='9 8 7 6 5 4 3 2 1 0'        # lanes of claim_lanes_merged
with() {
    while (($#)); do echo "insert or replace into temp.sqlite_parameters values (':$1', $2);"; shift 2; done
}
batch() { # STATEMENT, with the batch tables filled before: one immediate transaction, batch tables empty again
    echo "begin immediate; $(sq "$1") commit; delete from answer; delete from given_job; delete from given_settle; delete from given_lease; delete from given_id;"
}
id() { printf "cast('%016d' as blob)" "$1"; }
given() { # NUMBER KIND QUEUE PRIORITY RUN_AT [KEY HOLD WINDOW]
    echo "insert into given_job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, key, hold, held_for, metadata)
          values ($(id "$1"), '$2', '$3', 'args', $4, $5, 11, 3, ${6:-null}, ${7:-null}, ${8:-null}, '{}');"
}
put() { echo "$(with now 1000) $(given "$@") $(batch insert)"; }
hex() { printf '%s' "$(printf '%016d' "$1" | od -An -tx1 | tr -d ' \n' | tr a-f A-F)"; }
state() { echo "select state, generation, settled, attempts, crashes from job where id = $(id "$1");"; }
claim() { # SHAPE NOW LIMIT CLAIM
    with now "$2" wanted "$3" claim_id "$(id "$4")" kinds "'[\"mine\"]'" worker "'w'" lease 100 queue "'default'"
    sq "claim_$1"; sq claim_free_keys; with queue "'held'"; sq "claim_$1"
}
settle() { # NOW NUMBER GENERATION OUTCOME DELAY ERROR
    with now "$1"
    echo "insert into given_settle (id, generation, outcome, delay, error) values ($(id "$2"), $3, '$4', ${5:-null}, ${6:-null});"
    batch settle
}
renew() { with now "$1" lease 100; echo "insert into given_lease (id, generation) values ($(id "$2"), $3);"; batch renew; }

# insert
expect 'insert answers new' "1|new|$(hex 1)" "$(put 1 mine default 5 1000)"
expect 'same id, same content: existing' "1|existing|$(hex 1)" "$(put 1 mine default 5 1000)"
expect 'conflict' "1|conflict|$(hex 1)" "$(put 1 other default 5 1000)"
expect 'a key is taken' "1|new|$(hex 2)" "$(put 2 mine default 5 1001 "'k'" 0)"
expect 'a taken key names its holder' "1|existing|$(hex 2)" "$(put 3 mine default 5 1001 "'k'" 0)"
expect 'no row for it' 0 "select count(*) from job where id = $(id 3);"

# claim
ask "insert into paused_queue values ('held');
$(put 10 foreign default 9 1000) $(put 11 mine held 9 1000) $(put 12 mine default 9 5000) $(put 13 mine default 7 1002) $(put 14 mine default 3 999)"
ask "update job set ready = 1 where run_at <= 2000; insert into lane select distinct queue, kind, priority from job;"
for shape in plain lanes_table lanes_levels lanes_index lanes_merged ready; do
    ask "begin; $(claim $shape 2000 10 50) rollback;"
    claimed=$reply
    expect "$shape: kinds, pause, future" 4 ".print $(grep -o '|mine|default|' <<< "$claimed" | wc -l)"
    expect "$shape: nothing else" 4 ".print $(wc -w <<< "$claimed")"
    ask "begin; $(claim $shape 2000 2 50) rollback;"
    expect "$shape: never more than asked, the first in order" '0000000000000001 0000000000000013' \
        ".print $(tr ' ' '\n' <<< "$reply" | cut -d'|' -f1 | sort | paste -sd' ')"
done
expect 'next_due leaves out paused and foreign' 5000 "$(with now 2000 queue "'default'" kinds "'[\"mine\"]'") $(sq next_due_lanes)"
expect 'next_due of a paused queue is absent' '' "$(with queue "'held'") $(sq next_due_lanes)"

# settle and its fence
ask "$(claim lanes_levels 2000 1 51)"                      # takes 13
expect 'repeat of a claim_id' 1 "select count(*) from ($(sq claim_repeat | sed '/^--/d; s/;$//'));"
expect 'renew: held' '1|held' "$(renew 2010 13 1)"
expect 'renew: lost' '1|lost' "$(renew 2010 13 2)"
expect 'next_expiry' 2110 "$(sq next_expiry)"
expect 'settle of another generation is lost' '1|lost' "$(settle 2020 13 2 complete)"
expect 'retry is applied' '1|applied' "$(settle 2020 13 1 retry 10 "'broken'")"
expect 'retry waits, one attempt' '0|1|1|1|0' "$(state 13)"
expect 'settle repeated is applied' '1|applied' "$(settle 2021 13 1 complete)"
expect '... and changes nothing' '0|1|1|1|0' "$(state 13)"
ask "$(claim lanes_levels 2030 1 52)"
expect 'repeated while running under g + 1' '1|applied' "$(settle 2031 13 1 retry 10)"
expect '... still running' '1|2|1|1|0' "$(state 13)"
expect 'cancel flags a running job' '1|flagged' "$(with now 2032) insert into given_id (id) values ($(id 13)); $(batch cancel)"
expect 'renew says so' '1|cancel requested' "$(renew 2033 13 2)"
expect 'flagged retry is applied' '1|applied' "$(settle 2034 13 2 retry 10)"
expect 'flagged retry ends in cancelled' '4|2|2|2|0' "$(state 13)"
expect 'stale generation is lost' '1|lost' "$(settle 2035 13 1 complete)"
ask "$(claim lanes_levels 2040 2 53)"                      # takes 1 and 2
expect 'the key goes at the end' '1|applied 0' "$(settle 2041 2 1 complete) select count(*) from unique_key;"

# recover
ask "delete from job where state = 1; $(put 20 mine crash 5 1000) update job set state = 1, generation = 1, lease_until = 3000 where id = $(id 20);"
expect 'recover leaves a live lease' '' "$(with now 2999 wanted 10 backoff 30) $(batch recover)"
expect 'recover takes back' "$(hex 20)|0" "$(with now 3000) $(batch recover)"
expect 'back-off counts the crash' '3030|1' "select run_at, crashes from job where id = $(id 20);"
expect 'a late settle is lost' '1|lost' "$(settle 3001 20 1 complete)"
ask "update job set state = 1, generation = 3, crashes = 2, lease_until = 3100 where id = $(id 20);"
expect 'recover fails at the crash limit' "$(hex 20)|3" "$(with now 3100) $(batch recover)"

# errors: the last 25
ask "$(put 21 mine errors 5 1000) with recursive n(n) as (select 1 union all select n + 1 from n where n < 25)
     insert into job_error select $(id 21), n - 1, n, n, 'x' from n; update job set state = 1, errors = 25, generation = 30 where id = $(id 21);"
expect 'errors are trimmed to 25' '1|applied 25|2|30' \
    "$(settle 4000 21 30 fail null "'last'") select count(*), min(generation), max(generation) from job_error where job_id = $(id 21);"

# prune
ask "delete from job; with recursive n(n) as (select 1 union all select n + 1 from n where n < 100)
     insert into job (id, kind, queue, args, priority, run_at, state, max_attempts, max_crashes, created_at, finished_at)
     select cast(printf('%016d', n) as blob), 'k', 'q', 'a', 5, 0, 2, 1, 1, 0, n from n;"
expect 'prune by age: bounded, says when next' '10|61' "$(with now 100 state 2 max_age 50 wanted 10) $(batch prune_age)"
expect 'prune by age: next work' '40|101' "$(with wanted 1000) $(batch prune_age)"
expect 'prune by count keeps the newest' '30 20|81' \
    "$(with max_count 20) $(batch prune_count) select count(*), min(finished_at) from job;"
close_engine
