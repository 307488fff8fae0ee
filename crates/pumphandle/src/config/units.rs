//! Written quantities: `1h30m`, `64MiB`.

use record::time::{DAY, Micros, UNITS};

const UNITS_OF_SIZE: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// As it would be written: `1h30m`.
pub(crate) fn display_duration(span: Micros) -> String {
    let mut rest = span;
    let mut text = String::new();
    // Weeks are not how people read 7d.
    for (name, unit) in &UNITS[1..] {
        // 24h and 36h are written in hours, 7d in days.
        let in_hours = *unit == DAY && rest < 3 * DAY;
        if !in_hours && rest >= *unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `64MiB`, `1GB`, or bare bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text.trim(), |c| c.is_ascii_digit());
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, unit) = UNITS_OF_SIZE.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*unit)
}

pub(super) fn display_size(bytes: u64) -> String {
    let binary = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match binary.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}
