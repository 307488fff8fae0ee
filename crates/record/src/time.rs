//! Event time: reading it, and cutting it into panes and windows.
//!
//! All arithmetic on instants is here, floor division throughout, so that no two places disagree
//! about a border.
//! Knows no clock: whoever needs "now" is handed it.

use chrono::{DateTime, NaiveDate, Utc};
use thiserror::Error;

/// An instant or a span, in microseconds; instants count from 1970-01-01T00:00:00Z.
pub type Micros = i64;

pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;
pub const WEEK: Micros = 7 * DAY;

/// The units of a written span, from larger to smaller.
pub const UNITS: [(&str, Micros); 6] =
    [("w", WEEK), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1_000)];
/// About a century; no written span is longer.
const SPAN_MAX: Micros = 36_500 * DAY;

/// 1970-01-05 was a Monday: weeks are counted from there.
const FIRST_MONDAY: Micros = 4 * DAY;
/// The first instant that is believed, 2000-01-01T00:00:00Z.
pub const EARLIEST: Micros = 946_684_800 * SECOND;
/// The first instant that is no longer believed, 2100-01-01T00:00:00Z.
pub const LATEST: Micros = 4_102_444_800 * SECOND;

/// Why a written time is not an instant that we count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    #[error("not a date and time (RFC 3339) or unix seconds")]
    Unreadable,
    #[error("not a date, a date and time (RFC 3339) or unix seconds")]
    NoDate,
    #[error("outside the years 2000 to 2099")]
    OutOfRange,
}

/// Reads RFC 3339 (a missing zone is UTC) or unix seconds; digits beyond microseconds are cut.
pub fn parse(text: &str) -> Result<Micros, TimeError> {
    let text = text.trim_ascii();
    let instant = match parse_seconds(text) {
        Some(instant) => instant,
        None => parse_calendar(text.as_bytes()).ok_or(TimeError::Unreadable)?,
    };
    in_range(instant)
}

/// As [`parse`]; a date alone is its midnight in UTC.
pub fn parse_or_date(text: &str) -> Result<Micros, TimeError> {
    let text = text.trim_ascii();
    match parse(text) {
        Err(TimeError::Unreadable) if is_date(text) => {
            parse(&format!("{text}T00:00:00Z")).map_err(|error| match error {
                TimeError::Unreadable => TimeError::NoDate,
                error => error,
            })
        }
        Err(TimeError::Unreadable) => Err(TimeError::NoDate),
        parsed => parsed,
    }
}

/// Whether a text has the shape of `2026-01-05`.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

/// Only instants of the years 2000 to 2099 are counted.
pub fn in_range(instant: i128) -> Result<Micros, TimeError> {
    match Micros::try_from(instant) {
        Ok(micros) if (EARLIEST..LATEST).contains(&micros) => Ok(micros),
        _ => Err(TimeError::OutOfRange),
    }
}

/// `1767225600`, `-3.5`, `1.7672256e9`: exact for plain decimals, floor to the microsecond.
fn parse_seconds(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.contains(['e', 'E']) {
        let seconds: f64 = text.parse().ok()?;
        // A float this large is out of range whatever its digits: saturating is enough.
        return Some((seconds * 1e6).floor() as i128);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.len() > 20 { i128::from(i64::MAX) } else { whole.parse().ok()? };
    let micros = whole * i128::from(SECOND) + i128::from(fraction_micros(fraction.as_bytes()));
    let beyond = fraction.bytes().skip(6).any(|digit| digit != b'0');
    Some(if negative { -micros - i128::from(beyond) } else { micros })
}

/// The first six digits of a fraction of a second, as microseconds.
fn fraction_micros(digits: &[u8]) -> i64 {
    (0..6)
        .fold(0, |micros, i| micros * 10 + i64::from(digits.get(i).map_or(0, |digit| digit - b'0')))
}

/// `[+-]YYYY…-MM-DD[T ]hh:mm[:ss[.f…]][Z|±hh[:]mm]`, also with a leap second, which becomes the
/// second after it.
fn parse_calendar(text: &[u8]) -> Option<i128> {
    let mut rest = Cursor { bytes: text, at: 0 };
    let sign = rest.one_of(b"+-");
    let year_digits = rest.digits(4, 9)?;
    let year = if sign == Some(b'-') { -year_digits } else { year_digits };
    rest.expect(b'-')?;
    let month = rest.digits(2, 2)?;
    rest.expect(b'-')?;
    let day = rest.digits(2, 2)?;
    rest.one_of(b"Tt ")?;
    let hour = rest.digits(2, 2)?;
    rest.expect(b':')?;
    let minute = rest.digits(2, 2)?;
    let mut second = 0;
    let mut fraction = 0;
    if rest.one_of(b":").is_some() {
        second = rest.digits(2, 2)?;
        if rest.one_of(b".,").is_some() {
            let from = rest.at;
            while rest.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                rest.at += 1;
            }
            if rest.at == from {
                return None;
            }
            fraction = fraction_micros(&text[from..rest.at]);
        }
    }
    let offset_minutes = match rest.one_of(b"Zz+-") {
        None | Some(b'Z' | b'z') => 0,
        Some(sign) => {
            let hours = rest.digits(2, 2)?;
            let colon = rest.one_of(b":").is_some();
            let minutes = if colon || rest.peek().is_some() { rest.digits(2, 2)? } else { 0 };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == b'-' { -1 } else { 1 }
        }
    };
    if rest.peek().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_epoch(year, month, day)?;
    let seconds = days * 86_400 + i128::from(hour * 3600 + (minute - offset_minutes) * 60 + second);
    Some(seconds * i128::from(SECOND) + i128::from(fraction))
}

/// Days since 1970-01-01; years that the calendar crate can't hold are beyond our range anyway.
fn days_from_epoch(year: i64, month: i64, day: i64) -> Option<i128> {
    let within = year.clamp(-9_999, 99_999);
    // A leap year stands in for leap years: 29 February of a far year stays readable, and out of
    // range.
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(within).ok()?,
        u32::try_from(month).ok()?,
        u32::try_from(day).ok()?,
    )?;
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    Some(i128::from(date.signed_duration_since(epoch).num_days()))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn one_of(&mut self, set: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| set.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.one_of(&[byte]).map(|_| ())
    }

    /// A run of at least `least` and at most `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let from = self.at;
        let mut value = 0;
        while self.at - from < most {
            let Some(digit) = self.peek().filter(u8::is_ascii_digit) else {
                break;
            };
            value = value * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        (self.at - from >= least).then_some(value)
    }
}

/// The start of the pane of `length` that holds `instant`: a UTC multiple of the length; weeks
/// start on Monday.
pub fn pane_start(instant: Micros, length: Micros) -> Micros {
    let origin = if length % WEEK == 0 { FIRST_MONDAY } else { 0 };
    instant - (instant - origin).rem_euclid(length)
}

/// The first border of panes of `length` at or after `instant`.
pub fn pane_border(instant: Micros, length: Micros) -> Micros {
    let start = pane_start(instant, length);
    if start == instant { start } else { start + length }
}

/// `2026-01-05T09:00:00Z`, with microseconds only where there are any.
pub fn display(instant: Micros) -> String {
    match DateTime::<Utc>::from_timestamp_micros(instant) {
        Some(time) if instant.rem_euclid(SECOND) == 0 => {
            time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        None => instant.to_string(),
    }
}

/// Reads `90s`, `1h30m`, `7d`: whole numbers, each with its unit, from larger to smaller.
pub fn parse_span(text: &str) -> Option<Micros> {
    let mut rest = text.trim();
    let mut total: Micros = 0;
    let mut unit_before = Micros::MAX;
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_at_first(after, |c| !c.is_ascii_alphabetic());
        let (_, unit) = *UNITS.iter().find(|(name, _)| *name == unit)?;
        if unit >= unit_before {
            return None;
        }
        total = number.parse::<Micros>().ok()?.checked_mul(unit)?.checked_add(total)?;
        unit_before = unit;
        rest = after.trim_start();
    }
    (unit_before != Micros::MAX && total <= SPAN_MAX).then_some(total)
}

fn split_at_first(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// Year, month and day of the month of a day since 1970-01-01, in the Gregorian calendar (Hinnant,
/// *chrono-compatible low-level date algorithms*, `civil_from_days`); any day at all.
pub fn date(day: i64) -> (i64, u8, u8) {
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (
        year + era * 400 + i64::from(month <= 2),
        u8::try_from(month).unwrap_or(1),
        u8::try_from(day_of_month).unwrap_or(1),
    )
}

#[cfg(test)]
mod tests;
