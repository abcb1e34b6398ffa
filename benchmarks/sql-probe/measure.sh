# One conversation with each engine's shell, a clock around it, checks and tables. Sourced by ./run.

passed=0 failed=0
elapsed=0 reply=''

# open_engine ENGINE DATABASE: the engine that `ask` and `timed` speak to from now on.
open_engine() {
    engine=$1
    if [[ $engine == postgres ]]; then
        coproc CHAT { exec stdbuf -oL psql -qAtX -v ON_ERROR_STOP=1 -v now="$now" -v rows="$rows" -d "$2" 2>> "$temp/errors"; }
    else
        coproc CHAT { exec stdbuf -oL sqlite3 -batch -bail -separator '|' "$2" 2>> "$temp/errors"; }
    fi
    to=${CHAT[1]} from=${CHAT[0]}
}
close_engine() { exec {to}>&-; wait "$CHAT_PID" || true; }

lost_engine() { echo "$engine stopped:" >&2; tail -5 "$temp/errors" >&2; exit 1; }

# ask TEXT: runs it, leaves what it printed in $reply (lines joined by a blank).
ask() {
    local line
    reply=''
    if [[ $engine == postgres ]]; then printf '%s\n\\echo @@\n' "$1"; else printf '%s\n.print @@\n' "$1"; fi >&"$to"
    while IFS= read -r line <&"$from" || lost_engine; do
        [[ $line == @@ ]] && break
        reply+="${reply:+ }$line"
    done
}

# timed TEXT: runs it, drops what it printed, leaves the microseconds in $elapsed.
timed() {
    local line start
    if [[ $engine == postgres ]]; then
        printf '\\o /dev/null\n' >&"$to"; ask ''
        start=${EPOCHREALTIME/./}
        printf '%s\n\\echo @@\n' "$1" >&"$to"
    else
        printf '.output /dev/null\n' >&"$to"
        start=${EPOCHREALTIME/./}
        printf '%s\n.output\n.print @@\n' "$1" >&"$to"
    fi
    IFS= read -r line <&"$from" || lost_engine
    elapsed=$((${EPOCHREALTIME/./} - start))
    [[ $line == @@ ]] || lost_engine
    [[ $engine == sqlite ]] || printf '\\o\n' >&"$to"
}

# bench LABEL TIMES SETUP TIMED: one warm-up, then TIMES measurements; a row of the table. Only TIMED is on the clock.
bench() {
    local label=$1 times=$2 i list=''
    for ((i = 0; i <= times; i++)); do
        [[ -z $3 ]] || ask "$3"
        timed "$4"
        ((i == 0)) || list+="$elapsed"$'\n'
    done
    printf '%s' "$list" | sort -n | awk -v label="$label" '{ v[NR] = $1 / 1000 }
        END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
              printf "| %s | %.2f | %.2f | %.2f |\n", label, m, v[1], v[NR] }'
}
table() { printf '\n### %s\n\n| operation | median ms | min | max |\n|---|---:|---:|---:|\n' "$1"; }

# expect WHAT WANTED TEXT: a correctness check.
expect() {
    ask "$3"
    if [[ $reply == "$2" ]]; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAILED $engine: $1: wanted '$2', got '$reply'" >&2; fi
}
report_checks() {
    printf '\n## Checks\n\n%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0)) || exit 1
}

# plan TITLE TEXT: keeps a query plan for the end of the report.
plan() {
    local line
    if [[ $engine == postgres ]]; then printf '%s\n\\echo @@\n' "$2"; else printf '%s\n.print @@\n' "$2"; fi >&"$to"
    { printf '\n### %s: %s\n\n```text\n' "$engine" "$1"
      while IFS= read -r line <&"$from" || lost_engine; do [[ $line == @@ ]] && break; printf '%s\n' "$line"; done
      printf '```\n'; } >> "$temp/plans"
}
print_plans() { printf '\n## Plans\n\nHostile situation; changes rolled back.\n'; cat "$temp/plans"; }
