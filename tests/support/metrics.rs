//! The Prometheus text format, read back.

/// A sample: name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// All samples of one scrape.
pub struct Metrics {
    samples: Vec<Sample>,
    text: String,
}

impl Metrics {
    /// Parses strictly: a line that is neither comment nor sample fails the test.
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).unwrap_or_else(|| panic!("sample {line:?}")));
        Metrics {
            samples: samples.collect(),
            text: text.to_owned(),
        }
    }

    /// Sum of the samples of `name` that have all of `labels`; none if there is no such sample.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            sample.0 == name
                && labels.iter().all(|(key, value)| {
                    sample.1.iter().any(|(have, is)| have == key && is == value)
                })
        };
        let found: Vec<f64> = self
            .samples
            .iter()
            .filter(has)
            .map(|sample| sample.2)
            .collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// As [`Metrics::sum`], where nothing counted yet may mean that there is no sample.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels).unwrap_or(0.0)
    }

    /// The scrape itself.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, value) = match rest.strip_prefix('{') {
        None => (Vec::new(), rest),
        Some(inner) => read_labels(inner)?,
    };
    let value = value.trim().split(' ').next()?.parse().ok()?;
    Some((name.to_owned(), labels, value))
}

/// Labels up to the closing brace, and what follows it.
fn read_labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
        rest = after[end + 1..].trim_start_matches(',');
    }
}
