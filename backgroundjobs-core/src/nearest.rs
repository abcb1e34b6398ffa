//! The name somebody may have meant.

/// The known name that is most like `name`, if one is like it at all (a third of its characters, rounded up, may differ).
pub(crate) fn nearest(name: &str, known: &[String]) -> Option<String> {
    let limit = name.chars().count().div_ceil(3);
    known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.clone())
}

/// Levenshtein's distance: characters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties::{any_text, check, mutated, text_around};

    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof![3 => any_text(8), 2 => "[ab]{0,6}", 1 => mutated("send_mail"), 1 => text_around(255)]
    }

    /// By its definition: what can be made of the first characters of both.
    fn by_definition(from: &[char], to: &[char]) -> usize {
        match (from, to) {
            (rest, []) | ([], rest) => rest.len(),
            ([a, from @ ..], [b, to @ ..]) if a == b => by_definition(from, to),
            ([_, less @ ..], [_, fewer @ ..]) => {
                1 + by_definition(less, to).min(by_definition(from, fewer)).min(by_definition(less, fewer))
            }
        }
    }

    #[test]
    fn the_distance_is_that_of_the_definition() {
        check(500, (any_text(5), "[ab]{0,5}", any_text(5)), |(a, b, c)| {
            for (from, to) in [(&a, &b), (&a, &c), (&b, &b)] {
                let (from_all, to_all): (Vec<char>, Vec<char>) =
                    (from.chars().collect(), to.chars().collect());
                prop_assert_eq!(
                    distance(from, to),
                    by_definition(&from_all, &to_all),
                    "{:?}, {:?}",
                    from,
                    to
                );
            }
            Ok(())
        });
    }

    #[test]
    fn the_nearest_of_any_names_is_a_known_one_that_no_other_is_nearer_than() {
        check(150, (any_name(), proptest::collection::vec(any_name(), 0..4)), |(name, known)| {
            let limit = name.chars().count().div_ceil(3);
            let closest = known.iter().map(|candidate| distance(&name, candidate)).min();
            match nearest(&name, &known) {
                Some(found) => {
                    prop_assert!(known.contains(&found));
                    prop_assert_eq!(Some(distance(&name, &found)), closest);
                    prop_assert!(closest.is_some_and(|distance| distance <= limit));
                }
                None => prop_assert!(closest.is_none_or(|distance| distance > limit)),
            }
            prop_assert!(known.iter().all(|other| distance(&name, other) == distance(other, &name)));
            Ok(())
        });
    }

    #[test]
    fn a_slip_of_the_pen_is_found_and_a_stranger_is_not() {
        let known = ["register_user".to_owned(), "send_mail".to_owned()];
        assert_eq!(nearest("regster_user", &known).as_deref(), Some("register_user"));
        assert_eq!(nearest("send-mail", &known).as_deref(), Some("send_mail"));
        assert_eq!(nearest("invoice", &known), None);
        assert_eq!(distance("", "abc"), 3);
    }
}
