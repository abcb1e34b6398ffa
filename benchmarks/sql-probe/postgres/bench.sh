# Measures the statements on PostgreSQL. Sourced by ./run.
printf '\n## PostgreSQL\n'
createdb bench
open_engine postgres bench
ask "$(cat "$here"/postgres/{schema,data_shape_c}.sql)"
declare -A index_file=([plain]=plain [lanes_table]=lanes [lanes_levels]=lanes [lanes_index]=lanes [ready]=ready)
load() { ask "\\set situation $1"; ask "\\o /dev/null
\\i $here/postgres/data.sql
\\o"; }
with_index() { ask "drop index if exists job_plain, job_lane, job_ready, job_unready, job_unready_due; $(cat "$here/postgres/index_$1.sql") vacuum analyze job; checkpoint;"; }

# Due rows that earlier measurements claimed or ended are due again.
put_back() {
    ask "update job set state = 0, run_at = :now - 3600000000, claim_id = null, worker = null, lease_until = null, finished_at = null,
         cancel_requested = false, ready = true where id between probe_id(200000000) and probe_id(299999999) and state <> 0; vacuum job;"
}

claim() { # SHAPE LIMIT: one served queue, one paused one
    echo "execute claim_$1(:now, '{default,held}', '{$2,$2}', '{send,resize,report}', 'bench', gen_random_uuid(), 30000000);"
}
fresh=900000000                 # first id of the next inserted batch
new_jobs() { # AMOUNT QUEUE KEYS: arrays of new jobs into psql variables
    echo "select array_agg(probe_id($fresh + n)) as ids, array_agg('send'::text) as kinds, array_agg('$2'::text) as queues,
        array_agg('{\"to\":\"someone-' || n || '@example.org\",\"subject\":\"' || repeat('x', 60) || '\"}') as args,
        array_agg(5) as fives, array_agg(11) as elevens, array_agg(null::bigint) as nulls, array_agg('{}'::text) as metas,
        array_agg(${3:-null::text}) as keys, array_agg(0) as zeros from generate_series(1, $1) n \\gset"
}
insert="execute insert_statement(:now, :'ids', :'kinds', :'queues', :'args', :'fives', :'nulls', :'nulls', :'elevens', :'elevens', :'keys', :'zeros', :'nulls', :'metas');"
running() { # AMOUNT OUTCOME ERROR: claims that many, leaves the batch of their settle in psql variables
    echo "select gen_random_uuid() as claim \\gset
\\o /dev/null
execute claim_lanes_levels(:now, '{default}', '{$1}', '{send,resize,report}', 'bench', :'claim', 30000000);
\\o
select array_agg(id) as ids, array_agg(generation) as gens, array_agg('$2'::text) as outs, array_agg(1000000::bigint) as delays,
       array_agg($3::text) as errs from job where state = 1 and claim_id = :'claim' \\gset"
}
settle="execute settle_statement(:now, :'ids', :'gens', :'outs', :'delays', :'errs');"

wal() { ask "select pg_current_wal_insert_lsn() - '0/0';"; wal_bytes=$reply; }
life() { # SHAPE: log bytes a job costs from insert to the end, the second of two rounds, without full-page images
    local round start at_insert at_promote at_claim
    ask "alter system set full_page_writes = off;"
    ask "\\o /dev/null
select pg_reload_conf();
select pg_sleep(0.5);
\\o"
    for round in 1 2; do
        ask "$(new_jobs 1000 life)"; fresh=$((fresh + 1000))
        wal; start=$wal_bytes
        timed "$insert"; wal; at_insert=$wal_bytes
        [[ $1 != ready ]] || timed "execute promote_statement(:now, 1000);"
        wal; at_promote=$wal_bytes
        timed "execute claim_$1(:now, '{life}', '{1000}', '{send}', 'bench', gen_random_uuid(), 30000000);"; wal; at_claim=$wal_bytes
        ask "select array_agg(generation) as gens, array_agg('complete'::text) as outs, array_agg(0::bigint) as delays, array_agg(null::text) as errs from job where queue = 'life' and state = 1 \\gset"
        timed "$settle"; wal
    done
    ask "alter system reset full_page_writes;"
    ask "\\o /dev/null
select pg_reload_conf();
\\o"
    lives+="| $1 | $(((at_insert - start) / 1000)) | $(((at_promote - at_insert) / 1000)) | $(((at_claim - at_promote) / 1000)) | $(((wal_bytes - at_claim) / 1000)) | $(((wal_bytes - start) / 1000)) |"$'\n'
}

load ordinary
with_index plain
pg_prepare
table 'Floor'
bench 'select 1' 15 '' 'select 1;'
ask 'create table floor (n int); insert into floor values (0);'
bench 'commit of one small row' 15 '' 'update floor set n = n + 1;'

lives=''
for situation in ordinary hostile; do
    [[ $situation == ordinary ]] || load hostile
    table "Claim, $situation"
    current=plain
    for shape in plain lanes_table lanes_levels lanes_index ready; do
        [[ $current == "${index_file[$shape]}" && $shape != plain ]] || with_index "${index_file[$shape]}"
        current=${index_file[$shape]}
        put_back
        for limit in 1 100 1000; do bench "$shape: claim $limit" $((limit < 1000 ? 9 : 5)) '' "$(claim $shape $limit)"; done
        [[ $situation == ordinary ]] || plan "claim of 100, $shape" "begin; explain (analyze, buffers, costs off, timing off) $(claim $shape 100) rollback;"
        case $shape in
        plain | ready) bench "$shape: next_due" 9 '' "execute next_due_${shape}_statement(:now, '{default,held}', '{send,resize,report}');" ;;
        lanes_levels) bench "lanes: next_due, ten levels" 9 '' "execute next_due_lanes_statement(:now, '{default,held}', '{send,resize,report}');" ;;
        esac
        if [[ $situation == ordinary && $shape != lanes_table && $shape != lanes_index ]]; then
            life $shape
        fi
    done
    if [[ $situation == hostile ]]; then
        bench 'ready: promote 1000' 9 '' "execute promote_statement(:now + 172800000000, 1000);"
        plan 'promotion of 1000' "begin; explain (analyze, buffers, costs off, timing off) execute promote_statement(:now + 172800000000, 1000); rollback;"
    fi
done
printf '\n### Write-ahead log, bytes a job (1000 jobs a batch, without full-page images)\n\n| shape | insert | promote | claim | settle | sum |\n|---|---:|---:|---:|---:|---:|\n%s' "$lives"

# From here on: lane index, hostile situation.
with_index lanes
table 'Number of lanes (claim 100 of one queue; 30 due rows in each used lane)'
list() { local i out=''; for ((i = 0; i < $2; i++)); do out+="${out:+,}$1$i"; done; echo "{$out}"; }
for lanes in 1 10 100 300; do
    kinds=$(((lanes + 9) / 10))
    for shape in lanes_table lanes_levels lanes_index; do
        # rolled back, so that every round meets the same lanes; one lane: a kind that uses level 0 only
        if ((lanes == 1)); then kinds_list='{send}' queue=held_not; else kinds_list=$(list wide $kinds) queue=wide; fi
        ((lanes > 1)) || ask "insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, created_at) select probe_id(700000000 + n), 'send', 'held_not', 'a', 0, n, 1, 1, 0 from generate_series(1, 2000) n on conflict do nothing; insert into lane values ('held_not', 'send', 0) on conflict do nothing;"
        bench "$shape: $lanes lanes" 9 'begin;' "execute claim_$shape(:now, '{$queue}', '{100}', '$kinds_list', 'bench', gen_random_uuid(), 30000000); rollback;"
        ask 'vacuum job;'
    done
done
for shape in lanes_table lanes_levels lanes_index; do
    bench "$shape: 300 empty lanes (30 kinds without a row)" 9 '' "execute claim_$shape(:now, '{wide}', '{100}', '$(list nothing 30)', 'bench', gen_random_uuid(), 30000000);"
done
bench 'next_due: 300 lanes, ten levels' 9 '' "execute next_due_lanes_statement(:now, '{wide}', '$(list wide 30)');"

bench_insert() { # LABEL AMOUNT KEYS FEED: fresh ids each round
    local i list=''
    for ((i = 0; i <= 7; i++)); do
        ask "$(new_jobs "$2" arrivals "$3")"; fresh=$((fresh + $2)); timed "begin; $insert $4 commit;"
        ((i == 0)) || list+="$elapsed"$'\n'
    done
    sort -n <<< "${list%$'\n'}" | awk -v label="$1" '{ v[NR] = $1 / 1000 } END { printf "| %s | %.2f | %.2f | %.2f |\n", label, v[int((NR + 1) / 2)], v[1], v[NR] }'
}
table 'Insert'
for amount in 1 100 1000; do
    bench_insert "insert $amount" $amount 'null::text' ''
done
bench_insert 'insert 1000, each with a unique key' 1000 "'key ' || $RANDOM || ' ' || n || clock_timestamp()::text" ''
bench_insert 'insert 1000 and feed the lane table' 1000 'null::text' "execute lane_feed_statement(:'queues', :'kinds', :'fives');"

table 'Renew, settle, recover, cancel, prune, expiry'
ask 'vacuum analyze job;'
put_back
ask "$(running 1000 complete null)"
bench 'renew 1000' 9 '' "execute renew_statement(:now, :'ids', :'gens', 30000000);"
plan 'renew of 1000' "begin; explain (analyze, buffers, costs off, timing off) execute renew_statement(:now, :'ids', :'gens', 30000000); rollback;"
bench 'next_expiry' 9 '' 'execute next_expiry_statement;'
ask 'drop index job_running; create index job_held on job (id) where state = 1; vacuum job;'
bench 'renew 1000, lease_until not indexed' 9 '' "execute renew_statement(:now, :'ids', :'gens', 30000000);"
bench 'next_expiry, lease_until not indexed' 9 '' 'execute next_expiry_statement;'
ask 'drop index job_held; create index job_running on job (lease_until, id) where state = 1;'
plan 'settle of 1000' "begin; explain (analyze, buffers, costs off, timing off) $settle rollback;"
bench 'settle 100: complete' 7 "$(running 100 complete null)" "$settle"
bench 'settle 1000: complete' 5 "$(running 1000 complete null)" "$settle"
bench 'settle 1000: repeated' 7 '' "$settle"
put_back
bench 'settle 1000: retry with an error' 5 "$(running 1000 retry "'it broke'")" "$settle"
put_back
bench 'claim 1000, no index on claim_id' 5 '' "$(claim lanes_levels 1000)"
bench 'repeat of a claim, no index on claim_id' 9 '' 'execute claim_repeat_statement(gen_random_uuid());'
ask 'create index job_claim on job (claim_id) where state = 1;'
put_back
bench 'claim 1000, index on claim_id' 5 '' "$(claim lanes_levels 1000)"
bench 'repeat of a claim, index on claim_id' 9 '' 'execute claim_repeat_statement(gen_random_uuid());'
ask 'drop index job_claim; vacuum analyze job;'
bench 'recover 1000' 5 '' 'execute recover_statement(:now + 3600000000, 1000, 30000000);'
bench 'cancel 1000 waiting' 7 "select array_agg(id) as ids from (select id from job where queue = 'held' and state = 0 limit 1000) x \\gset" "execute cancel_statement(:now, :'ids');"
bench 'prune 1000 by age' 7 '' 'execute prune_age_statement(:now, 2::smallint, 0, 1000);'
plan 'prune of 1000 by age' 'begin; explain (analyze, buffers, costs off, timing off) execute prune_age_statement(:now, 2::smallint, 0, 1000); rollback;'
bench 'prune 1000 by count, 10000 kept' 7 '' 'execute prune_count_statement(2::smallint, 10000, 1000);'
bench "prune 1000 by count, $((rows / 5)) kept" 7 '' "execute prune_count_statement(2::smallint, $((rows / 5)), 1000);"

table 'Dead rows: claim 100 while another transaction holds an old snapshot'
ask "insert into job (id, kind, queue, args, priority, run_at, max_attempts, max_crashes, created_at)
     select probe_id(800000000 + n), 'send', 'aging', 'a', 5, n, 1, 1, 0 from generate_series(1, 30000) n; vacuum analyze job;"
aging="execute claim_lanes_levels(:now, '{aging}', '{100}', '{send}', 'bench', gen_random_uuid(), 30000000);"
bench 'fresh' 5 '' "$aging"
psql -qAtX -d bench <<< "begin isolation level repeatable read; select count(*) from floor; select pg_sleep(3600);" > /dev/null 2>&1 &
holder=$!
sleep 1
ask "\\o /dev/null
execute claim_lanes_levels(:now, '{aging}', '{20000}', '{send}', 'bench', gen_random_uuid(), 30000000);
\\o"
bench 'after 20000 claims, snapshot open' 5 '' "$aging"
ask "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid();"
wait "$holder" || true
bench 'snapshot gone, not vacuumed' 5 '' "$aging"
ask 'vacuum job;'
bench 'vacuumed' 5 '' "$aging"
printf '\nRace of the checks: 4 clients, 100 claims of 20 each, 10000 due rows: %s of 8000 asked were claimed, none twice.\n' "$race_total"
close_engine
