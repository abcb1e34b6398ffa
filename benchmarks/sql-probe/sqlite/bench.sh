# Measures the statements on SQLite. Sourced by ./run; uses sq, with and batch of sqlite/check.sh.
printf '\n## SQLite\n'
open_engine sqlite "$temp/bench.db"
ask "$(cat "$here"/sqlite/{schema,data_shape_c,connection}.sql)"
ask "pragma wal_autocheckpoint = 10000;"
ask '.parameter init'
load() { ask "$(data_rows "$1" "$rows" "$now")"; }
with_index() {
    local name
    for name in job_plain job_lane job_ready job_unready job_unready_due; do ask "drop index if exists $name;"; done
    ask "$(sq "index_$1") analyze; pragma wal_checkpoint(truncate);"
}
put_back() {
    ask "update job set state = 0, run_at = :now - 3600000000, claim_id = null, worker = null, lease_until = null, finished_at = null,
         cancel_requested = 0, ready = 1 where id between cast('0000000200000000' as blob) and cast('0000000299999999' as blob) and state <> 0;
         pragma wal_checkpoint(truncate);"
}
defaults() {
    ask "$(with now "$now" queue "'default'" kinds "'[\"send\",\"resize\",\"report\"]'" worker "'bench'" claim_id 'randomblob(16)' lease 30000000 wanted 1)"
}
claim() { # SHAPE [FINISH]: one served queue, one paused one, a transaction
    echo "begin immediate; $(with queue "'default'") $(sq "claim_$1") $(with queue "'held'") $(sq "claim_$1") ${2:-commit};"
}
next_due() { with queue "'default'"; sq "next_due_$1"; with queue "'held'"; sq "next_due_$1"; }
empty='delete from answer; delete from given_job; delete from given_settle; delete from given_lease; delete from given_id;'
commit() { echo "begin immediate; $(sq "$1") commit;"; }
new_jobs() { # AMOUNT QUEUE [KEY]: fresh ids follow the newest
    echo "$empty with recursive n(n) as (select 1 union all select n + 1 from n where n < $1)
    insert into given_job select n, cast(printf('%016d', 900000000 + (select max(seq) from job) * 10 + n) as blob), 'send', '$2',
        '{\"to\":\"someone-' || n || '@example.org\",\"subject\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}',
        5, null, 11, 3, ${3:-null}, 0, null, '{}' from n;"
}
running() { # AMOUNT OUTCOME ERROR: claims that many, leaves them in the batch tables
    echo "$empty $(with wanted "$1" queue "'default'" claim_id 'randomblob(16)')
.output /dev/null
$(sq claim_lanes_levels)
.output
insert into given_settle (id, generation, outcome, delay, error) select id, generation, '$2', 1000000, $3 from job
    where state = 1 and claim_id = (select value from temp.sqlite_parameters where key = ':claim_id');
insert into given_lease (id, generation) select id, generation from given_settle;"
}
wal() { wal_bytes=$(stat -c %s "$temp/bench.db-wal"); }
life() { # SHAPE: bytes a job writes to the log from insert to the end; the log starts empty before each step
    local step text sum=0 line="| $1"
    ask "$(new_jobs 1000 life)"
    for step in insert promote claim settle; do
        case $step in
        insert) text=$(commit insert) ;;
        promote) [[ $1 == ready ]] && text="$(with wanted 1000) $(sq promote)" || text='' ;;
        claim) ask "$(with wanted 1000 queue "'life'")"; text=$(sq "claim_$1") ;;
        settle) ask "$empty insert into given_settle (id, generation, outcome) select id, generation, 'complete' from job where queue = 'life' and state = 1;"
            text=$(commit settle) ;;
        esac
        ask 'pragma wal_checkpoint(truncate);'
        [[ -z $text ]] || timed "$text"
        wal
        line+=" | $((wal_bytes / 1000))" sum=$((sum + wal_bytes / 1000))
    done
    lives+="$line | $sum |"$'\n'
}
explain() { # TITLE STATEMENT
    plan "$1" "explain query plan $2"
}

load ordinary
defaults
table 'Floor'
bench 'select 1' 15 '' 'select 1;'
ask 'create table floor (n integer); insert into floor values (0);'
bench 'commit of one small row' 15 '' 'update floor set n = n + 1;'

index_file[lanes_merged]=lanes merged_kinds='send resize report'
lives=''
for situation in ordinary hostile; do
    [[ $situation == ordinary ]] || load hostile
    table "Claim, $situation"
    current=none
    for shape in plain lanes_table lanes_levels lanes_index lanes_merged ready; do
        [[ $current == "${index_file[$shape]}" ]] || with_index "${index_file[$shape]}"
        current=${index_file[$shape]}
        put_back
        for limit in 1 100 1000; do bench "$shape: claim $limit" $((limit < 1000 ? 9 : 5)) "$(with wanted $limit)" "$(claim $shape)"; done
        [[ $situation == ordinary ]] || explain "claim, $shape" "$(sq claim_$shape | sed '/^--/d')"
        case $shape in
        plain | ready) bench "$shape: next_due" 9 '' "$(next_due $shape)" ;;
        lanes_levels) bench "lanes: next_due, ten levels" 9 '' "$(next_due lanes)" ;;
        esac
        [[ $situation == hostile || $shape == lanes_table || $shape == lanes_index || $shape == lanes_merged ]] || life $shape
    done
    if [[ $situation == hostile ]]; then
        bench 'ready: promote 1000' 9 "$(with wanted 1000 now $((now + 172800000000)))" "$(sq promote)"
        explain 'promotion' "$(sq promote | sed '/^--/d')"
        ask "$(with now "$now")"
    fi
done
printf '\n### Write-ahead log, bytes a job (1000 jobs a batch; whole pages of 4096)\n\n| shape | insert | promote | claim | settle | sum |\n|---|---:|---:|---:|---:|---:|\n%s' "$lives"

with_index lanes
put_back
table 'Number of lanes (claim 100 of one queue, rolled back; 30 due rows in each used lane)'
kinds_json() { local i out=''; for ((i = 0; i < $2; i++)); do out+="${out:+,}\"$1$i\""; done; echo "'[$out]'"; }
ask "with recursive n(n) as (select 1 union all select n + 1 from n where n < 2000)
     insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, created_at)
     select cast(printf('%016d', 700000000 + n) as blob), 'send', 'narrow', 'a', 0, n, 1, 1, 0 from n; insert into lane values ('narrow', 'send', 0);"
for lanes in 1 10 100 300; do
    merged_levels='9 8 7 6 5 4 3 2 1 0' merged_kinds=$(for ((i = 0; i < (lanes + 9) / 10; i++)); do printf 'wide%d ' $i; done)
    ((lanes > 1)) || merged_kinds=send merged_levels=0
    if ((lanes == 1)); then ask "$(with queue "'narrow'" kinds "'[\"send\"]'" wanted 100)"
    else ask "$(with queue "'wide'" kinds "$(kinds_json wide $((lanes / 10)))" wanted 100)"; fi
    for shape in lanes_table lanes_levels lanes_index lanes_merged; do
        bench "$shape: $lanes lanes" 9 '' "begin immediate; $(sq claim_$shape) rollback;"
    done
done
ask "$(with kinds "$(kinds_json nothing 30)")"
for shape in lanes_table lanes_levels lanes_index; do
    bench "$shape: 300 empty lanes (30 kinds without a row)" 9 '' "begin immediate; $(sq claim_$shape) commit;"
done
ask "$(with kinds "$(kinds_json wide 30)")"
bench 'next_due: 300 lanes, ten levels' 9 '' "$(sq next_due_lanes)"
defaults

table 'Insert'
for amount in 1 100 1000; do bench "insert $amount" 7 "$(new_jobs $amount arrivals)" "$(commit insert)"; done
bench 'insert 1000, each with a unique key' 7 "$(new_jobs 1000 arrivals "hex(randomblob(12))")" "$(commit insert)"
bench 'insert 1000 and feed the lane table' 7 "$(new_jobs 1000 arrivals)" "begin immediate; $(sq insert) $(sq lane_feed) commit;"

table 'Renew, settle, recover, cancel, prune, expiry'
ask "$(running 1000 complete null)"
explain 'renew' "$(sq renew | sed '/^--/d; /^select/,$d')"
explain 'settle, keys' "$(sq settle | sed -n '/^delete/,/;/p')"
explain 'settle, rows' "$(sq settle | sed -n '/^update/,/;/p')"
bench 'renew 1000' 9 '' "$(commit renew)"
bench 'next_expiry' 9 '' "$(sq next_expiry)"
ask 'drop index job_running; create index job_held on job (id) where state = 1;'
bench 'renew 1000, lease_until not indexed' 9 '' "$(commit renew)"
bench 'next_expiry, lease_until not indexed' 9 '' "$(sq next_expiry)"
ask 'drop index job_held; create index job_running on job (lease_until, id) where state = 1;'
bench 'settle 100: complete' 7 "$(running 100 complete null)" "$(commit settle)"
bench 'settle 1000: complete' 5 "$(running 1000 complete null)" "$(commit settle)"
bench 'settle 1000: repeated' 5 'delete from answer;' "$(commit settle)"
put_back
bench 'settle 1000: retry with an error' 5 "$(running 1000 retry "'it broke'")" "$(commit settle)"
put_back
defaults
bench 'claim 1000, no index on claim_id' 5 "$(with wanted 1000)" "$(claim lanes_levels)"
bench 'repeat of a claim, no index on claim_id' 9 "$(with claim_id 'randomblob(16)')" "$(sq claim_repeat)"
put_back
ask 'create index job_claim on job (claim_id) where state = 1; analyze;'
bench 'claim 1000, index on claim_id' 5 '' "$(claim lanes_levels)"
bench 'repeat of a claim, index on claim_id' 9 "$(with claim_id 'randomblob(16)')" "$(sq claim_repeat | sed 's/from job where/from job indexed by job_claim where/')"
ask 'drop index job_claim;'
bench 'recover 1000' 5 "$empty $(with now $((now + 3600000000)) wanted 1000 backoff 30000000)" "$(commit recover)"
ask "$(with now "$now")"
bench 'cancel 1000 waiting' 7 "$empty insert into given_id (id) select id from job where queue = 'held' and state = 0 limit 1000;" "$(commit cancel)"
bench 'prune 1000 by age' 7 "$empty $(with state 2 max_age 0 wanted 1000)" "$(commit prune_age)"
bench 'prune 1000 by count, 10000 kept' 7 "$empty $(with max_count 10000)" "$(commit prune_count)"
bench "prune 1000 by count, $((rows / 5)) kept" 7 "$empty $(with max_count $((rows / 5)))" "$(commit prune_count)"
explain 'prune by count' "$(sq prune_count | sed '/^--/d; /^delete/,$d')"
explain 'next_due, lanes' "$(sq next_due_lanes | sed '/^--/d')"
close_engine
