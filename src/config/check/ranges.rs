//! Ranges of a shard rule: of one type, none of them empty, none overlapping another.
//!
//! The first bound that is written decides the type of the rule. A range without a lower or an
//! upper bound is open there.

use std::fmt::Display;
use std::sync::Arc;

use super::super::checked::{IntegerRange, ShardFunction, TextRange};
use super::super::problem::{At, Problems};
use super::super::raw::{RangeEntry, Size};
use super::super::reader::{Scalar, Written};
use super::names::GroupNames;
use super::shard::{group_of, has_entries};

pub(super) fn check(
    list: &Written<Vec<RangeEntry>>,
    groups: &mut GroupNames<'_>,
    problems: &mut Problems<'_>,
) -> Option<ShardFunction> {
    if !has_entries(list, problems) {
        return None;
    }
    let bounds = |entry: &'_ RangeEntry| [entry.from.clone(), entry.to.clone()];
    let mut written = list.value.iter().flat_map(bounds).flatten();
    let first = written.next();
    let of_texts = matches!(
        first,
        Some(Written {
            value: Scalar::Text(_),
            ..
        })
    );
    let mut integers = Vec::new();
    let mut texts = Vec::new();
    for entry in &list.value {
        let group = group_of(&entry.group, &entry.at, groups, problems);
        let noted = problems.noted_below(&entry.at);
        if entry.from.is_none() && entry.to.is_none() && !noted {
            let fix = "write from, to or both; the rest of all keys is what default is for";
            problems.error(&entry.at, "has no bounds", fix);
        }
        // A range with a bound of the wrong type is not compared with others.
        if of_texts {
            let (from, to) = (text(&entry.from, problems), text(&entry.to, problems));
            if let (Some(group), Ok(from), Ok(to)) = (group, from, to) {
                let from = from.unwrap_or_default();
                texts.push((TextRange { from, to, group }, &entry.at));
            }
        } else {
            let (from, to) = (integer(&entry.from, problems), integer(&entry.to, problems));
            if let (Some(group), Ok(from), Ok(to)) = (group, from, to) {
                let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
                integers.push((IntegerRange { from, to, group }, &entry.at));
            }
        }
    }
    Some(if of_texts {
        ShardFunction::Texts(disjoint(texts, problems))
    } else {
        ShardFunction::Integers(disjoint(integers, problems))
    })
}

/// A bound of another type than the rule's.
struct OtherType;

fn integer(written: &Size, problems: &mut Problems<'_>) -> Result<Option<i64>, OtherType> {
    let Some(Written { value, at }) = written else {
        return Ok(None);
    };
    match value {
        Scalar::Integer(number) => Ok(Some(*number)),
        Scalar::Text(text) => {
            let fix = "write all bounds of a rule as integers, or all as strings";
            problems.error(at, format!("{text:?} stands among integers"), fix);
            Err(OtherType)
        }
    }
}

fn text(written: &Size, problems: &mut Problems<'_>) -> Result<Option<Arc<str>>, OtherType> {
    let Some(Written { value, at }) = written else {
        return Ok(None);
    };
    match value {
        Scalar::Text(text) => Ok(Some(Arc::from(text.as_str()))),
        Scalar::Integer(number) => {
            let fix = "write all bounds of a rule as integers, or all as strings";
            problems.error(at, format!("{number} stands among strings"), fix);
            Err(OtherType)
        }
    }
}

/// What ranges of both types have in common.
trait Range: Display {
    fn is_empty(&self) -> bool;
    fn is_before(&self, other: &Self) -> bool;
    /// Whether the range reaches further up than `other`.
    fn ends_after(&self, other: &Self) -> bool;
    /// Whether `self`, which begins no earlier, begins inside `other`.
    fn begins_in(&self, other: &Self) -> bool;
}

impl Range for IntegerRange {
    fn is_empty(&self) -> bool {
        self.from > self.to
    }

    fn is_before(&self, other: &Self) -> bool {
        self.from < other.from
    }

    fn ends_after(&self, other: &Self) -> bool {
        self.to > other.to
    }

    fn begins_in(&self, other: &Self) -> bool {
        self.from <= other.to
    }
}

impl Range for TextRange {
    fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| self.from >= *to)
    }

    fn is_before(&self, other: &Self) -> bool {
        self.from < other.from
    }

    fn ends_after(&self, other: &Self) -> bool {
        match (&self.to, &other.to) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(mine), Some(other)) => mine > other,
        }
    }

    fn begins_in(&self, other: &Self) -> bool {
        other.to.as_ref().is_none_or(|to| self.from < *to)
    }
}

/// The ranges in order, with a word about each that is empty or overlaps an earlier one.
fn disjoint<R: Range>(mut ranges: Vec<(R, &At)>, problems: &mut Problems<'_>) -> Vec<R> {
    ranges.retain(|(range, at)| {
        if range.is_empty() {
            let fix = "write the lesser bound as from; of strings, to is not included";
            problems.error(at, format!("the range {range} is empty"), fix);
        }
        !range.is_empty()
    });
    ranges.sort_by(|(left, _), (right, _)| {
        // Equal ones stay in the order of the file.
        right.is_before(left).cmp(&left.is_before(right))
    });
    let mut furthest: Option<&(R, &At)> = None;
    for entry in &ranges {
        let (range, at) = entry;
        if let Some((other, first)) = furthest
            && range.begins_in(other)
        {
            let what = format!(
                "the range {range} overlaps with {other} of line {}",
                problems.line(first)
            );
            problems.error(at, what, "move a bound, so that each key has one owner");
        }
        if furthest.is_none_or(|(other, _)| range.ends_after(other)) {
            furthest = Some(entry);
        }
    }
    ranges.into_iter().map(|(range, _)| range).collect()
}
