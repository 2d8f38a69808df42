//! Reads a whole page by the rules of its format, as strictly as they are written: the ABNF of
//! OpenMetrics 1.0 and the text format 0.0.4, which has less of it. A page that a test reads so
//! has no line that a scraper could refuse.

use std::collections::{BTreeMap, HashSet};

use crate::telemetry::exposition::Dialect;

/// Longest labels of an exemplar: characters of names and values together.
const EXEMPLAR_CHARS_MAX: usize = 128;

pub(super) type Labels = Vec<(String, String)>;

/// One line that is no comment.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) exemplar: Option<(Labels, f64)>,
}

/// One family.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) samples: Vec<Sample>,
}

/// Reads `page`, or panics with the line that breaks a rule.
pub(super) fn read(page: &str, dialect: Dialect) -> BTreeMap<String, Family> {
    let body = match dialect {
        Dialect::OpenMetrics => page.strip_suffix("# EOF\n").expect("ends with # EOF"),
        Dialect::Text => page,
    };
    assert!(body.ends_with('\n') && !body.contains("# EOF"));
    let mut families = BTreeMap::<String, Family>::new();
    let mut present = (String::new(), HashSet::new());
    for line in body.split_terminator('\n') {
        match line.strip_prefix("# ") {
            Some(descriptor) => describe(descriptor, &mut families, &mut present),
            None => {
                let mut cursor = Cursor(line);
                let sample = cursor.sample(dialect);
                assert!(cursor.0.is_empty(), "{:?} follows: {line}", cursor.0);
                let family = families.get_mut(&present.0).expect("a family comes first");
                assert!(!family.kind.is_empty(), "TYPE comes before samples: {line}");
                assert!(
                    suffixes(&family.kind, dialect)
                        .any(|suffix| sample.name == format!("{}{suffix}", present.0)),
                    "{line} stands in family {}",
                    present.0
                );
                family.samples.push(sample);
            }
        }
    }
    check_names(&families, dialect);
    for (name, family) in &families {
        check_family(name, family);
    }
    families
}

/// `TYPE`, `HELP` or `UNIT` of a family. Each once, together, and before what it is about.
fn describe(
    descriptor: &str,
    families: &mut BTreeMap<String, Family>,
    present: &mut (String, HashSet<String>),
) {
    let (word, rest) = descriptor.split_once(' ').expect("a descriptor");
    let (name, text) = rest.split_once(' ').expect("a name and what is said of it");
    assert!(is_name(name), "{descriptor}");
    if present.0 != name {
        *present = (name.to_owned(), HashSet::new());
        let fresh = families.insert(name.to_owned(), Family::default());
        assert!(fresh.is_none(), "family {name} comes twice");
    }
    assert!(present.1.insert(word.to_owned()), "two of {descriptor}");
    let family = families.get_mut(name).expect("just seen");
    assert!(family.samples.is_empty(), "{descriptor} comes late");
    match word {
        "HELP" => assert!(!text.is_empty() && !text.contains('\\'), "{descriptor}"),
        "TYPE" => {
            let known = ["counter", "gauge", "histogram"];
            assert!(known.contains(&text), "{descriptor}");
            text.clone_into(&mut family.kind);
        }
        _ => panic!("unknown descriptor: {descriptor}"),
    }
}

/// What the names of samples of a family end with.
fn suffixes(kind: &str, dialect: Dialect) -> impl Iterator<Item = &'static str> {
    let suffixes: &[&str] = match (kind, dialect) {
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter", Dialect::OpenMetrics) => &["_total"],
        _ => &[""],
    };
    suffixes.iter().copied()
}

/// No sample of one family may be called as one of another, nor as another family.
fn check_names(families: &BTreeMap<String, Family>, dialect: Dialect) {
    let mut taken = HashSet::new();
    for (name, family) in families {
        let reserved: &[&str] = match (&*family.kind, dialect) {
            ("counter", Dialect::OpenMetrics) => &["", "_total", "_created"],
            ("histogram", Dialect::OpenMetrics) => &["", "_bucket", "_sum", "_count", "_created"],
            ("histogram", Dialect::Text) => &["", "_bucket", "_sum", "_count"],
            _ => &[""],
        };
        for suffix in reserved {
            let name = format!("{name}{suffix}");
            assert!(!taken.contains(&name), "two families claim {name}");
            taken.insert(name);
        }
    }
}

fn check_family(name: &str, family: &Family) {
    let mut seen = HashSet::new();
    for Sample {
        name,
        labels,
        value,
        ..
    } in &family.samples
    {
        assert!(seen.insert((name, labels)), "{name}{labels:?} comes twice");
        let mut keys = HashSet::new();
        assert!(labels.iter().all(|(key, _)| keys.insert(key)), "{labels:?}");
        let may_fall = family.kind == "gauge";
        assert!(may_fall || *value >= 0.0, "{name} is {value}");
    }
    if family.kind == "histogram" {
        check_histogram(name, &family.samples);
    }
}

/// Buckets of one metric rise to the last, `+Inf`, which is its count.
fn check_histogram(name: &str, samples: &[Sample]) {
    let mut rest = samples.iter().peekable();
    while let Some(first) = rest.peek() {
        let labels = &first.labels[..first.labels.len() - 1];
        let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
        while let Some(bucket) = rest.next_if(|next| next.name.ends_with("_bucket")) {
            let (key, le) = bucket.labels.last().expect("le");
            let le = if le == "+Inf" {
                f64::INFINITY
            } else {
                le.parse().unwrap()
            };
            assert_eq!(
                (&**key, &bucket.labels[..labels.len()]),
                ("le", labels),
                "{name}"
            );
            assert!(le > bound && bucket.value >= count, "{name}: {bucket:?}");
            if let Some((_, value)) = &bucket.exemplar {
                assert!(*value <= le && *value >= bound, "{name}: {bucket:?}");
            }
            (bound, count) = (le, bucket.value);
        }
        assert!(bound.is_infinite(), "{name} has no bucket without a bound");
        for end in ["_sum", "_count"] {
            let sample = rest.next().expect("a sum and a count");
            assert_eq!(
                (&*sample.name, &*sample.labels),
                (&*format!("{name}{end}"), labels)
            );
            assert!(
                end == "_sum" || (sample.value - count).abs() < f64::EPSILON,
                "{name}"
            );
        }
    }
}

fn is_name(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    text.bytes().next().is_some_and(first)
        && text
            .bytes()
            .all(|byte| first(byte) || byte.is_ascii_digit())
}

/// What is left of a line.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn sample(&mut self, dialect: Dialect) -> Sample {
        let name = self.until(|c| c == '{' || c == ' ').to_owned();
        assert!(is_name(&name), "{name}");
        let labels = if self.0.starts_with('{') {
            self.labels()
        } else {
            Labels::new()
        };
        self.expect(" ");
        let value = self.number();
        let exemplar = (dialect == Dialect::OpenMetrics && self.0.starts_with(" # ")).then(|| {
            self.expect(" # ");
            let labels = self.labels();
            self.expect(" ");
            let value = self.number();
            if self.0.starts_with(' ') {
                self.expect(" ");
                self.number();
            }
            let chars = labels
                .iter()
                .map(|(key, value)| key.chars().count() + value.chars().count());
            assert!(chars.sum::<usize>() <= EXEMPLAR_CHARS_MAX, "{labels:?}");
            let counts = ["_bucket", "_total"].iter().any(|end| name.ends_with(end));
            assert!(counts, "{name} has no place for an exemplar");
            (labels, value)
        });
        Sample {
            name,
            labels,
            value,
            exemplar,
        }
    }

    fn labels(&mut self) -> Labels {
        let mut labels = Labels::new();
        self.expect("{");
        while !self.0.starts_with('}') {
            if !labels.is_empty() {
                self.expect(",");
            }
            let name = self.until(|c| c == '=').to_owned();
            assert!(is_name(&name) && !name.contains(':'), "label {name:?}");
            self.expect("=\"");
            labels.push((name, self.escaped()));
        }
        self.expect("}");
        labels
    }

    /// A value up to its quote, which is taken too.
    fn escaped(&mut self) -> String {
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => {
                    self.0 = &self.0[at + 1..];
                    return value;
                }
                (_, '\\') => match chars.next().expect("an escaped character").1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    c => panic!("unknown escape {c}"),
                },
                (_, c) => value.push(c),
            }
        }
    }

    fn number(&mut self) -> f64 {
        let text = self.until(|c| c == ' ');
        let plain = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        assert!(text.chars().all(plain), "number {text:?}");
        text.parse().unwrap_or_else(|_| panic!("number {text:?}"))
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &str {
        let (before, after) = self.0.split_at(self.0.find(ends).unwrap_or(self.0.len()));
        self.0 = after;
        before
    }

    fn expect(&mut self, text: &str) {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or_else(|| panic!("{text:?} instead of {:?}", self.0));
    }
}
