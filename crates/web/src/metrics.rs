//! Numbers that every room of the program may keep, shown on `/metrics` in the text format of
//! Prometheus.
//!
//! A handle is an atomic: counting takes no lock. Names and labels are given once, when the handle
//! is requested;
//! asking again gives the same number.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A family with more series than this shows the first only; the rest are counted in
/// `pumphandle_metrics_hidden`.
const SERIES_MAX: usize = 2_000;

#[derive(Debug, Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<String, Family>>,
    hidden: AtomicU64,
    collectors: Mutex<Vec<Collector>>,
}

/// Sets gauges that are only known at the moment of a scrape, such as ages. Must be quick, and wait
/// for nothing.
struct Collector(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Collector")
    }
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: String,
    /// By labels as they are shown.
    series: BTreeMap<String, Arc<AtomicU64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Only rises.
#[derive(Debug, Clone)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// For totals that are stored elsewhere: takes over the total, unless a higher one is known.
    pub fn raise_to(&self, total: u64) {
        self.0.fetch_max(total, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Rises and falls. Not shown as long as it is not known.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

/// A gauge that is not known: a NaN that no computation gives.
const UNKNOWN: u64 = 0x7ff8_0000_756e_6b6e;

impl Gauge {
    /// Known or not, as the case may be.
    pub fn set_or_clear(&self, number: Option<f64>) {
        match number {
            Some(number) => self.set(number),
            None => self.clear(),
        }
    }

    /// Not known any more: not shown until it is set again.
    pub fn clear(&self) {
        self.0.store(UNKNOWN, Ordering::Relaxed);
    }

    pub fn set(&self, number: f64) {
        self.0.store(number.to_bits(), Ordering::Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Metrics {
    /// A name that is no metric name, or that is a gauge already, gives a number that isn't shown.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.series(Kind::Counter, name, help, labels))
    }

    /// As [`Metrics::counter`]; not shown until it is set.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.series(Kind::Gauge, name, help, labels))
    }

    /// Calls `collect` before each [`Metrics::render`].
    pub fn before_render(&self, collect: impl Fn() + Send + Sync + 'static) {
        self.collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Collector(Arc::new(collect)));
    }

    fn series(
        &self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Arc<AtomicU64> {
        let valid =
            is_name(name) && labels.iter().all(|(label, _)| is_name(label) && !label.contains(':'));
        debug_assert!(valid, "`{name}` or its labels can't be shown");
        if !valid {
            return Arc::default();
        }
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            series: BTreeMap::new(),
        });
        debug_assert!(family.kind == kind, "`{name}` is a counter and a gauge");
        if family.kind != kind {
            return Arc::default();
        }
        let labels = shown(labels);
        if family.series.len() >= SERIES_MAX && !family.series.contains_key(&labels) {
            self.hidden.fetch_add(1, Ordering::Relaxed);
            return Arc::default();
        }
        let unset = match kind {
            Kind::Counter => 0,
            Kind::Gauge => UNKNOWN,
        };
        family.series.entry(labels).or_insert_with(|| Arc::new(AtomicU64::new(unset))).clone()
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        // Collectors ask for series themselves: no lock is held while they run.
        let collectors: Vec<_> = {
            let collectors = self.collectors.lock().unwrap_or_else(PoisonError::into_inner);
            collectors.iter().map(|collector| collector.0.clone()).collect()
        };
        collectors.iter().for_each(|collect| collect());
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, family) in &*families {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let shown = |bits: &u64| family.kind == Kind::Counter || *bits != UNKNOWN;
            if !family.series.values().any(|number| shown(&number.load(Ordering::Relaxed))) {
                continue;
            }
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing to a string can't fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, number) in &family.series {
                let bits = number.load(Ordering::Relaxed);
                if !shown(&bits) {
                    continue;
                }
                let _ = match family.kind {
                    Kind::Counter => writeln!(text, "{name}{labels} {bits}"),
                    Kind::Gauge => {
                        writeln!(text, "{name}{labels} {}", prometheus_float(f64::from_bits(bits)))
                    }
                };
            }
        }
        let hidden = self.hidden.load(Ordering::Relaxed);
        let _ = writeln!(
            text,
            "# HELP pumphandle_metrics_hidden Series asked for beyond the {SERIES_MAX} that a \
                metric may have.\n\
             # TYPE pumphandle_metrics_hidden gauge\npumphandle_metrics_hidden {hidden}"
        );
        text
    }
}

fn is_name(name: &str) -> bool {
    let head = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    name.bytes().next().is_some_and(head)
        && name.bytes().all(|byte| head(byte) || byte.is_ascii_digit())
}

fn shown(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let pairs = sorted
        .iter()
        .map(|(label, value)| {
            format!(
                "{label}=\"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
            )
        })
        .collect::<Vec<_>>();
    format!("{{{}}}", pairs.join(","))
}

fn prometheus_float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests;
