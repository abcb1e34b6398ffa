//! Statements for many jobs are written in few sizes, because each size is prepared once and kept. One that is larger than
//! what there is to do is bound nothing for the rest, and passes over it.

const SIZES: [usize; 6] = [1, 4, 16, 64, 250, 1_000];

/// Up to this size, what is passed over costs next to nothing.
const WORTH_FILLING: usize = 250;

/// The largest; more jobs take several statements.
pub(crate) const LARGEST: usize = SIZES[SIZES.len() - 1];

/// The smallest size that has room for so many.
pub(crate) fn with_room_for(jobs: usize) -> usize {
    SIZES.into_iter().find(|size| *size >= jobs).unwrap_or(jobs)
}

/// How many of so many to begin with, so that little room is left over.
pub(crate) fn first_part(jobs: usize) -> usize {
    SIZES.into_iter().rev().find(|size| *size >= WORTH_FILLING && *size <= jobs).unwrap_or(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_leave_little_room_over() {
        assert_eq!([0, 1, 2, 64, 65, 250, 251].map(with_room_for), [1, 1, 4, 64, 250, 250, 1_000]);
        assert_eq!([1, 249, 250, 999, 1_000, 2_345].map(first_part), [1, 249, 250, 250, 1_000, 1_000]);
        assert_eq!(with_room_for(LARGEST), LARGEST);
    }
}
