//! What the findings of several nodes come to.
//!
//! Of `n` seats more than half must say that a backend is down, and it is up as soon as that can
//! no longer be, whatever those who have not spoken will say: of two seats that contradict each
//! other it is up. Between the two, while seats are still silent, it stays what it was, so the
//! death of an observer alone changes nothing. Of a backend nothing is known of, those who have
//! spoken decide among themselves: a node that starts neither sends clients to a dead backend until
//! all have spoken nor keeps a living one waiting.

use super::Finding;

/// So many of `seats` take a backend out.
#[must_use]
pub const fn quorum(seats: usize) -> usize {
    seats / 2 + 1
}

/// What these findings, one for each seat, come to for a backend that was thought to be `before`.
/// The reason of one that is down is that of the first who says so, with how many agree.
#[must_use]
pub fn judge(before: &Finding, seats: &[&Finding]) -> Finding {
    if seats.is_empty() {
        return before.clone();
    }
    let downs = seats.iter().filter(|seat| seat.is_down()).count();
    let ups = seats.iter().filter(|seat| ***seat == Finding::Up).count();
    let needed = quorum(seats.len());
    let by_majority = downs >= needed;
    let by_first = *before == Finding::Unknown && 2 * downs > downs + ups;
    if by_majority || by_first {
        return match before {
            Finding::Down(_) => before.clone(),
            Finding::Said(_) | Finding::Unknown | Finding::Up => why(seats, downs),
        };
    }
    let undecided = ups + needed <= seats.len();
    match undecided && (*before != Finding::Unknown || ups == 0) {
        true => before.clone(),
        false => Finding::Up,
    }
}

fn why(seats: &[&Finding], downs: usize) -> Finding {
    let reason = seats.iter().find_map(|seat| match seat {
        Finding::Down(reason) => Some(&**reason),
        Finding::Said(_) | Finding::Unknown | Finding::Up => None,
    });
    let reason = reason.unwrap_or_default();
    Finding::Down(match seats.len() {
        1 => reason.into(),
        all => format!("{reason} ({downs} of {all} observers)").into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn down() -> Finding {
        Finding::Down("refused".into())
    }

    fn finding() -> impl Strategy<Value = Finding> {
        prop::sample::select(vec![down(), Finding::Unknown, Finding::Up])
    }

    #[test]
    fn the_word_of_one_alone_is_its_own() {
        for before in [down(), Finding::Unknown, Finding::Up] {
            assert_eq!(judge(&before, &[&Finding::Up]), Finding::Up);
            assert_eq!(judge(&before, &[&down()]), down());
            assert_eq!(judge(&before, &[&Finding::Unknown]), before);
            assert_eq!(judge(&before, &[]), before);
        }
    }

    #[test]
    fn two_that_contradict_each_other_take_nobody_out() {
        for before in [down(), Finding::Unknown, Finding::Up] {
            assert_eq!(judge(&before, &[&down(), &Finding::Up]), Finding::Up);
        }
        let told = judge(&Finding::Up, &[&down(), &down()]);
        assert_eq!(told, Finding::Down("refused (2 of 2 observers)".into()));
    }

    proptest! {
        #[test]
        fn a_majority_decides_and_less_changes_nothing(
            before in finding(), seats in prop::collection::vec(finding(), 1..8),
        ) {
            let told = judge(&before, &seats.iter().collect::<Vec<_>>());
            let downs = seats.iter().filter(|seat| seat.is_down()).count();
            let ups = seats.iter().filter(|seat| **seat == Finding::Up).count();
            let silent = seats.len() - downs - ups;
            if downs >= quorum(seats.len()) {
                prop_assert!(told.is_down());
            } else if downs + silent < quorum(seats.len()) {
                prop_assert_eq!(told, Finding::Up);
            } else if before != Finding::Unknown {
                prop_assert_eq!(told, before);
            } else {
                prop_assert_eq!(told == Finding::Unknown, downs + ups == 0);
            }
        }

        #[test]
        fn who_speaks_first_does_not_matter(
            before in finding(), seats in prop::collection::vec(finding(), 1..6),
        ) {
            let mut seats: Vec<&Finding> = seats.iter().collect();
            let told = judge(&before, &seats);
            seats.reverse();
            prop_assert_eq!(judge(&before, &seats).is_down(), told.is_down());
        }
    }
}
