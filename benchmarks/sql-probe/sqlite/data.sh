# The rows of one situation as SQLite statements. data_rows SITUATION ROWS NOW
# Ids are 16 bytes that grow with n, as those of version 7 do.
data_rows() {
    local rows=$2 now=$3
    part() { # part first-id amount kind queue priority run_at state
        local ran=0 finished=0 running=0
        [[ $1 == finished ]] && finished=1 ran=1
        [[ $1 == running ]] && running=1 ran=1
        cat <<SQL
with recursive n(n) as (select 0 union all select n + 1 from n where n < $3 - 1)
insert into job (id, kind, queue, args, priority, run_at, state, attempts, max_attempts, max_crashes, generation, settled,
                 claim_id, worker, lease_until, created_at, finished_at, ready)
select cast(printf('%016d', $2 + n) as blob), $4, $5,
       '{"to":"someone-' || n || '@example.org","subject":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
       $6, $7, $8, $finished, 11, 3, $ran, $finished,
       iif($running, cast(printf('%016d', n / 50) as blob), null), iif($running, 'worker-' || n / 50, null),
       iif($running, $now + 10000000 + n * 4000, null),
       $now - 7200000000, iif($finished, $now - 3600000000 + n * 1000, null), $9
from n;
SQL
    }
    local kind="json_extract('[\"send\",\"resize\",\"report\"]', '\$[' || (n % 3) || ']')"
    local queue="json_extract('[\"default\",\"default\",\"default\",\"mail\",\"reports\"]', '\$[' || (n % 5) || ']')"
    local level="json_extract('[7,5,5,5,3,5,5]', '\$[' || (n % 7) || ']')"
    local due="$now - 3600000000 + n"
    echo "begin;"
    if [[ $1 == ordinary ]]; then
        part finished 0 $((rows * 40 / 100)) "$kind" "$queue" "$level" "$due" "case n % 20 when 0 then 3 when 1 then 4 else 2 end" 0
        part running 100000000 $((rows / 200)) "$kind" "$queue" "$level" "$due" 1 0
        part due 200000000 $((rows * 145 / 1000)) "$kind" "$queue" "$level" "$due" 0 1
        part wide 300000000 9000 "'wide' || (n % 30)" "'wide'" "n / 30 % 10" "$due" 0 1
    else
        part future 400000000 $((rows * 20 / 100)) "$kind" "'default'" 9 "$now + 86400000000 + n" 0 0
        part foreign 500000000 $((rows * 15 / 100)) "'foreign' || (n % 10)" "'default'" 8 "$due" 0 1
        part paused 600000000 $((rows * 10 / 100)) "$kind" "'held'" 5 "$due" 0 1
        echo "insert into paused_queue values ('held');"
    fi
    echo "insert or ignore into lane select distinct queue, kind, priority from job;"
    echo "commit; analyze; pragma wal_checkpoint(truncate);"
}
