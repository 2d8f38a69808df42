//! An operator's own traffic, from the access log in JSON or from the decision log: when requests
//! came, what they cost, and what the backends are like.
//!
//! A log tells how long each backend took, not how much work a request was: a busy backend takes
//! longer for the same. So each backend is fitted first. Its *speed* is how fast it answers when
//! it has little to do, as a multiple of what the backends do in the middle. Its *capacity* is how
//! many requests it can have at one time before each takes longer: where they take half as long
//! again, or more, the number under way is divided by how many times longer they take. One that is
//! never seen that busy is taken to have as much as it was seen to have at one time. Then each
//! request's work is its time, less what the others made of it. What follows is as good as that
//! model; how it reproduces what was logged is shown beside the answer, under the policy in use.
//!
//! Lines that are not of this group, name no backend or are no JSON are passed over and counted.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scenario::Backends;
use super::server::Discipline;
use super::world::Told;
use crate::telemetry::decisions::read::Decisions;

/// What a log comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The group.
    pub group: String,
    /// Requests, in order of their arrival.
    pub told: Vec<Told>,
    /// Backends, in order of their ids.
    pub backends: Vec<Backends>,
    /// Their ids.
    pub ids: Vec<String>,
    /// What the log says each took, in seconds, in rising order.
    pub took: Vec<f64>,
    /// Lines that were passed over.
    pub skipped: usize,
}

/// What a line has that matters here.
#[derive(Deserialize)]
struct Line {
    time: String,
    group: Option<String>,
    backend: Option<String>,
    duration_ms: f64,
    upstream_ms: Option<f64>,
}

/// What a log tells of one request.
struct Request {
    group: Option<String>,
    backend: Option<String>,
    /// Seconds since 1970.
    arrived: f64,
    /// Seconds until its backend answered, if it had one.
    took: Option<f64>,
}

/// One request of the group.
struct Entry {
    backend: usize,
    arrived: f64,
    took: f64,
    /// Requests at its backend while it was there, in the mean, itself included.
    met: u32,
}

/// What a backend was fitted to.
struct Fit {
    base: f64,
    capacity: f64,
}

/// Reads a log of either kind. Without a `group` it is the one most lines are of.
///
/// # Errors
/// What is missing in the log.
pub fn read(bytes: &[u8], group: Option<&str>) -> Result<Replay, String> {
    let (known, skipped) = match Decisions::of(bytes) {
        Some(decisions) => told_by_decisions(decisions),
        None => told_by_lines(&String::from_utf8_lossy(bytes)),
    };
    fitted(&known, skipped, group)
}

/// What the lines of an access log tell, and how many tell nothing.
fn told_by_lines(text: &str) -> (Vec<Request>, usize) {
    let (mut known, mut skipped) = (Vec::new(), 0);
    for line in text.lines() {
        let line = serde_json::from_str::<Line>(line).ok();
        let told = line.and_then(|line| {
            Some(Request {
                group: line.group,
                backend: line.backend,
                arrived: seconds_of(&line.time)? - line.duration_ms / 1000.0,
                took: line.upstream_ms.map(|millis| millis / 1000.0),
            })
        });
        match told {
            Some(told) => known.push(told),
            None => skipped += 1,
        }
    }
    (known, skipped)
}

/// What decisions tell, and how many frames cannot be read.
fn told_by_decisions(decisions: Decisions<'_>) -> (Vec<Request>, usize) {
    let (mut known, mut skipped) = (Vec::new(), 0);
    for decision in decisions {
        let Ok(decision) = decision else {
            skipped += 1;
            continue;
        };
        let began = decision
            .ended_unix_micros
            .saturating_sub(decision.duration_micros);
        let (group, backend) = decision.backend.unzip();
        known.push(Request {
            took: backend
                .is_some()
                .then(|| decision.upstream_micros as f64 / 1e6),
            group,
            backend,
            arrived: began as f64 / 1e6,
        });
    }
    (known, skipped)
}

fn fitted(known: &[Request], mut skipped: usize, group: Option<&str>) -> Result<Replay, String> {
    let group = match group {
        Some(group) => group.to_owned(),
        None => most_frequent(known)
            .ok_or("the log names no group: it must be in JSON, or of decisions")?,
    };
    let (mut entries, ids) = entries_of(known, &group);
    skipped += known.len() - entries.len();
    if entries.is_empty() {
        return Err(format!("the log has no request of group {group:?}"));
    }
    entries.sort_by(|left, right| left.arrived.total_cmp(&right.arrived));
    let most = count_others(&mut entries, ids.len());
    let each = most.into_iter().enumerate();
    let fits: Vec<Fit> = each.map(|(at, most)| fit(&entries, at, most)).collect();
    let typical = median(fits.iter().map(|fit| fit.base).collect());
    let backends = fits.iter().map(|fit| like(fit, typical)).collect();
    let origin = entries[0].arrived;
    let told = entries.iter().map(|entry| {
        let fit = &fits[entry.backend];
        let crowd = (f64::from(entry.met) / fit.capacity).max(1.0);
        Told {
            at: entry.arrived - origin,
            work: (entry.took / crowd * typical / fit.base).max(1e-6),
        }
    });
    let told = told.collect();
    let mut took: Vec<f64> = entries.iter().map(|entry| entry.took).collect();
    took.sort_by(f64::total_cmp);
    Ok(Replay {
        group,
        told,
        backends,
        ids,
        took,
        skipped,
    })
}

fn most_frequent(lines: &[Request]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for group in lines.iter().filter_map(|line| line.group.as_deref()) {
        *counts.entry(group).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(group, _)| group.to_owned())
}

fn entries_of(lines: &[Request], group: &str) -> (Vec<Entry>, Vec<String>) {
    let ours = lines
        .iter()
        .filter(|line| line.group.as_deref() == Some(group));
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for backend in ours.clone().filter_map(|line| line.backend.as_deref()) {
        numbers.insert(backend, 0);
    }
    for (number, at) in numbers.values_mut().enumerate() {
        *at = number;
    }
    let entry = |line: &Request| {
        Some(Entry {
            backend: *numbers.get(line.backend.as_deref()?)?,
            arrived: line.arrived,
            took: line.took?.max(1e-6),
            met: 1,
        })
    };
    let entries = ours.filter_map(entry).collect();
    (entries, numbers.keys().map(|id| (*id).to_owned()).collect())
}

/// Seconds since 1970 of a time as the log writes it, `2026-01-31T23:59:59.123Z`.
fn seconds_of(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // Years begin in March here, so that a leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (months * 153 + 2) / 5
        + day
        - 719_469;
    Some(days as f64 * 86_400.0 + hour * 3600.0 + minute * 60.0 + second)
}

/// Notes how many requests each met at its backend; answers how many each backend had at most.
///
/// Those who come later make a request take longer as much as those who were there before it.
fn count_others(entries: &mut [Entry], backends: usize) -> Vec<u32> {
    let mut there: Vec<Vec<usize>> = vec![Vec::new(); backends];
    let mut most = vec![0; backends];
    let mut shared = vec![0.0; entries.len()];
    for (at, entry) in entries.iter().enumerate() {
        let ends = |one: &Entry| one.arrived + one.took;
        let there = &mut there[entry.backend];
        there.retain(|other| ends(&entries[*other]) > entry.arrived);
        for other in there.iter().copied() {
            let both = ends(&entries[other]).min(ends(entry)) - entry.arrived;
            shared[at] += both;
            shared[other] += both;
        }
        there.push(at);
        most[entry.backend] = most[entry.backend].max(there.len() as u32);
    }
    for (entry, shared) in entries.iter_mut().zip(shared) {
        entry.met = 1 + (shared / entry.took).round() as u32;
    }
    most
}

/// How many times longer than usual is too long to be chance.
const LONGER: f64 = 1.5;

/// Requests that tell anything of how many others they met.
const ENOUGH: usize = 20;

fn fit(entries: &[Entry], backend: usize, most: u32) -> Fit {
    let mut by_crowd: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.backend == backend) {
        by_crowd.entry(entry.met).or_default().push(entry.took);
    }
    let known = |times: &Vec<f64>| times.len() >= ENOUGH;
    let quiet = by_crowd.values().find(|times| known(times));
    let all = || by_crowd.values().flatten().copied().collect();
    let base = median(quiet.cloned().unwrap_or_else(all)).max(1e-6);
    let crowded = by_crowd.iter().filter(|(_, times)| known(times));
    let capacities: Vec<f64> = crowded
        .map(|(met, times)| (f64::from(*met), median(times.clone()) / base))
        .filter(|(_, longer)| *longer >= LONGER)
        .map(|(met, longer)| met / longer)
        .collect();
    let capacity = match capacities.is_empty() {
        true => f64::from(most),
        false => median(capacities),
    };
    Fit {
        base,
        capacity: capacity.max(1.0),
    }
}

/// A backend like the one that was fitted, where a request of the `typical` time is one of a core.
fn like(fit: &Fit, typical: f64) -> Backends {
    let speed = typical / fit.base;
    Backends {
        count: 1,
        weight: 1,
        capacity: fit.capacity * speed,
        room: 1.0,
        speed,
        discipline: Discipline::Sharing,
        jobs_max: None,
        requests_max: None,
        contention: None,
        cold: None,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::BackendSlot;
    use crate::telemetry::access_log::AccessRecord;
    use crate::telemetry::access_log::frame::Texts;
    use crate::telemetry::access_log::names::LogNames;
    use crate::telemetry::access_log::tests::record;
    use crate::telemetry::decisions::write::DecisionWriter;

    fn line(at_millis: u32, backend: &str, took: f64) -> String {
        let ended = f64::from(at_millis) + took;
        let second = ended / 1000.0;
        format!(
            "{{\"time\":\"2026-11-29T15:00:{second:06.3}Z\",\"group\":\"app\",\
             \"backend\":\"{backend}\",\"duration_ms\":{took},\"upstream_ms\":{took}}}"
        )
    }

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(seconds_of("1970-01-01T00:00:00.000Z"), Some(0.0));
        assert_eq!(seconds_of("2000-03-01T00:00:01.500Z"), Some(951_868_801.5));
        assert_eq!(seconds_of("2024-02-29T12:00:00Z"), Some(1_709_208_000.0));
        assert_eq!(seconds_of("yesterday"), None);
    }

    #[test]
    fn a_backend_that_takes_twice_as_long_is_half_as_fast() {
        let mut log = Vec::new();
        for at in 0..200 {
            log.push(line(at * 100, "fast", 10.0));
            log.push(line(at * 100 + 50, "slow", 20.0));
        }
        log.push("not JSON".to_owned());
        let replay = read(log.join("\n").as_bytes(), None).unwrap();
        assert_eq!((replay.ids.len(), replay.told.len()), (2, 400));
        assert_eq!(replay.skipped, 1);
        let speeds: Vec<f64> = replay.backends.iter().map(|one| one.speed).collect();
        assert!((speeds[0] / speeds[1] - 2.0).abs() < 1e-6, "{speeds:?}");
        let works: Vec<f64> = replay.told.iter().map(|one| one.work).collect();
        assert!(
            (works[0] - works[1]).abs() < 1e-6,
            "the same work: {works:?}"
        );
    }

    #[test]
    fn a_backend_whose_requests_take_longer_together_has_a_capacity() {
        let mut log = Vec::new();
        for round in 0..60 {
            let at = round * 900;
            log.push(line(at, "one", 100.0));
            // Four at one time on two cores take twice as long.
            (1..5).for_each(|more| log.push(line(at + 400 + more, "one", 200.0)));
        }
        let replay = read(log.join("\n").as_bytes(), Some("app")).unwrap();
        let capacity = replay.backends[0].capacity;
        assert!((1.4..=2.1).contains(&capacity), "{capacity}");
        assert!(read(log.join("\n").as_bytes(), Some("web")).is_err());
    }

    /// A decision with what replaying asks of one.
    fn decided(out: &mut Vec<u8>, writer: &mut DecisionWriter, at_millis: u64, took_millis: u64) {
        let names = LogNames::new(
            ["web"].into_iter(),
            [("app", "fast"), ("app", "slow")].into_iter(),
        );
        let slow = took_millis > 15;
        let record = AccessRecord {
            ended_unix_micros: 1_753_700_000_000_000 + (at_millis + took_millis) * 1000,
            duration_micros: took_millis * 1000,
            upstream_micros: took_millis * 1000,
            backend: Some(BackendSlot(u32::from(slow))),
            ..record()
        };
        writer.write(out, &names, &record, &Texts::default());
    }

    #[test]
    fn decisions_tell_the_same_as_lines() {
        let (mut lines, mut file) = (Vec::new(), Vec::new());
        let mut writer = DecisionWriter::default();
        writer.begin(&mut file);
        for at in 0..200_u32 {
            lines.push(line(at * 100, "fast", 10.0));
            lines.push(line(at * 100 + 50, "slow", 20.0));
            decided(&mut file, &mut writer, u64::from(at) * 100, 10);
            decided(&mut file, &mut writer, u64::from(at) * 100 + 50, 20);
        }
        let of_lines = read(lines.join("\n").as_bytes(), None).unwrap();
        let of_decisions = read(&file, None).unwrap();
        assert_eq!(of_decisions.ids, of_lines.ids);
        assert_eq!((of_decisions.told.len(), of_decisions.skipped), (400, 0));
        for (left, right) in of_lines.told.iter().zip(&of_decisions.told) {
            assert!((left.at - right.at).abs() < 1e-3, "{left:?} {right:?}");
            assert!((left.work - right.work).abs() < 1e-6, "{left:?} {right:?}");
        }
        file.truncate(file.len() - 3);
        assert_eq!(read(&file, None).unwrap().skipped, 1);
    }
}
