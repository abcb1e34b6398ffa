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
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found_and_a_stranger_is_not() {
        let known = ["register_user".to_owned(), "send_mail".to_owned()];
        assert_eq!(nearest("regster_user", &known).as_deref(), Some("register_user"));
        assert_eq!(nearest("send-mail", &known).as_deref(), Some("send_mail"));
        assert_eq!(nearest("invoice", &known), None);
        assert_eq!(distance("", "abc"), 3);
    }
}
