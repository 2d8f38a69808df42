//! What a backend answers to a probe of its load: a report as of ORCA (`endpoint-load-metrics`), in
//! the two forms HTTP servers write, which vLLM, gRPC and Envoy know:
//!
//! ```text
//! TEXT cpu_utilization=0.3,named_metrics.requests_in_flight=7,named_metrics.latency_ms=31
//! JSON {"cpu_utilization": 0.3, "named_metrics": {"requests_in_flight": 7, "latency_ms": 31}}
//! ```
//!
//! ORCA has no field for requests under way, so that is a named metric. Names that mean nothing
//! here are passed over; a number that cannot be true makes the whole report none, because whoever
//! writes one is not to be believed in the others.

/// Bytes of a report that are looked at.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;

/// Requests one backend may say to have under way.
const IN_FLIGHT_MAX: f64 = 1e6;

/// A day, in milliseconds.
const LATENCY_MAX: f64 = 86_400_000.0;

/// A report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Requests under way.
    pub in_flight: Option<u32>,
    /// What a request takes there now, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Share of its processors in use; more than 1 beyond what it holds for good.
    pub cpu: Option<f64>,
    /// Share of its memory in use.
    pub memory: Option<f64>,
}

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A number that cannot be true.
    Impossible,
    /// Nothing of it is known.
    Unknown,
}

/// Reads a report.
///
/// # Errors
/// Why it is none.
pub fn parse(text: &str) -> Result<LoadReport, Unreadable> {
    let text = text.trim();
    let mut report = LoadReport::default();
    match text.split_once(char::is_whitespace) {
        Some(("JSON", json)) => read_json(json, &mut report)?,
        Some(("TEXT", pairs)) => read_pairs(pairs, &mut report)?,
        _ if text.starts_with('{') => read_json(text, &mut report)?,
        _ => read_pairs(text, &mut report)?,
    }
    match report == LoadReport::default() {
        true => Err(Unreadable::Unknown),
        false => Ok(report),
    }
}

fn read_pairs(pairs: &str, report: &mut LoadReport) -> Result<(), Unreadable> {
    for pair in pairs.split([',', '\n']) {
        // gRPC's text form has a colon between name and value.
        let Some((name, value)) = pair.split_once(['=', ':']) else {
            continue;
        };
        let name = name.trim();
        let name = name.strip_prefix("named_metrics.").unwrap_or(name);
        if let Ok(value) = value.trim().parse() {
            note(name, value, report)?;
        }
    }
    Ok(())
}

fn read_json(json: &str, report: &mut LoadReport) -> Result<(), Unreadable> {
    let json: serde_json::Value = serde_json::from_str(json).map_err(|_| Unreadable::Unknown)?;
    let object = json.as_object().ok_or(Unreadable::Unknown)?;
    let named = object
        .get("named_metrics")
        .and_then(|named| named.as_object());
    for (name, value) in object.iter().chain(named.into_iter().flatten()) {
        if let Some(value) = value.as_f64() {
            note(name, value, report)?;
        }
    }
    Ok(())
}

fn note(name: &str, value: f64, report: &mut LoadReport) -> Result<(), Unreadable> {
    let within = |most: f64| match (0.0..=most).contains(&value) {
        true => Ok(value),
        false => Err(Unreadable::Impossible),
    };
    match name {
        "requests_in_flight" => report.in_flight = Some(within(IN_FLIGHT_MAX)? as u32),
        "latency_ms" => report.latency_ms = Some(within(LATENCY_MAX)?),
        "cpu_utilization" => report.cpu = Some(within(1000.0)?),
        "mem_utilization" => report.memory = Some(within(1.0)?),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let expected = Ok(LoadReport {
            in_flight: Some(7),
            latency_ms: Some(31.5),
            cpu: Some(0.3),
            memory: Some(0.5),
        });
        for text in [
            "TEXT cpu_utilization=0.3,mem_utilization=0.5,rps_fractional=10,\
             named_metrics.requests_in_flight=7,named_metrics.latency_ms=31.5",
            "TEXT cpu_utilization:0.3,mem_utilization:0.5,named_metrics.requests_in_flight:7,\
             named_metrics.latency_ms:31.5",
            "JSON {\"cpu_utilization\": 0.3, \"mem_utilization\": 0.5, \"named_metrics\": \
             {\"requests_in_flight\": 7, \"latency_ms\": 31.5, \"queue\": 3}}",
            " cpu_utilization = 0.3 \n mem_utilization = 0.5\nrequests_in_flight=7\n\
             latency_ms=31.5\n",
            "{\"cpu_utilization\": 0.3, \"mem_utilization\": 0.5, \"requests_in_flight\": 7, \
             \"latency_ms\": 31.5}",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_true_or_says_nothing_is_no_report() {
        for text in [
            "TEXT named_metrics.requests_in_flight=-1",
            "TEXT named_metrics.requests_in_flight=1e9",
            "TEXT named_metrics.latency_ms=NaN",
            "TEXT mem_utilization=1.5,named_metrics.requests_in_flight=1",
            "JSON {\"named_metrics\": {\"requests_in_flight\": -3}}",
        ] {
            assert_eq!(parse(text), Err(Unreadable::Impossible), "{text}");
        }
        for text in [
            "",
            "TEXT",
            "ok",
            "JSON [1]",
            "JSON {",
            "<html>",
            "TEXT rps=3",
        ] {
            assert_eq!(parse(text), Err(Unreadable::Unknown), "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_refused_or_read(text: String) {
            if let Ok(report) = parse(&text) {
                prop_assert!(report.latency_ms.is_none_or(|took| took >= 0.0));
            }
        }
    }
}
