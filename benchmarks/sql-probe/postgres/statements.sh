# Prepares every statement file under its name in the current session. Shapes of the claim are claim.sql with one found_*.sql.
pg_prepare() {
    local name found
    for name in insert lane_feed claim_repeat next_due_plain next_due_lanes next_due_ready next_expiry \
                renew settle recover cancel prune_age prune_count promote; do
        ask "prepare ${name}_statement as $(cat "$here/postgres/$name.sql");"
    done
    for found in plain lanes_table lanes_levels lanes_index ready; do
        ask "prepare claim_$found as $(sed -e "/^@found$/{r $here/postgres/found_$found.sql" -e 'd}' "$here/postgres/claim.sql");"
    done
}
