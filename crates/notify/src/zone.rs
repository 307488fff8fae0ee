//! People's own time: what their clock shows, and when it next shows something.
//!
//! IANA zones, compiled in. Local time is a function of the instant; the other way round it may be
//! missing or there twice.

use chrono::{DateTime, FixedOffset, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};
use record::Micros;
use record::time::{DAY, MINUTE, SECOND};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zone(Tz);

/// What a clock on the wall shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01 there.
    pub day: i64,
    /// Minutes since midnight.
    pub minute: u32,
    /// 0 is Monday.
    pub weekday: u8,
    pub year: i64,
    /// From 1.
    pub month: u8,
    pub day_of_month: u8,
    /// `CET`; `UTC-03` where the zone has no letters for itself.
    pub zone: String,
}

impl Zone {
    /// By its IANA name, whatever the case.
    pub fn named(name: &str) -> Option<Zone> {
        Tz::from_str_insensitive(name).ok().map(Zone)
    }

    pub fn utc() -> Zone {
        Zone(Tz::UTC)
    }

    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Local time less UTC, and the letters for it.
    fn state(&self, at: Micros) -> (Micros, String) {
        let utc = DateTime::from_timestamp_micros(at).unwrap_or_default().naive_utc();
        let state = self.0.offset_from_utc_datetime(&utc);
        let fixed: FixedOffset = state.fix();
        let letters = match state.abbreviation() {
            Some(letters) if !letters.starts_with(['+', '-']) => letters.to_owned(),
            _ => short(fixed),
        };
        (Micros::from(fixed.local_minus_utc()) * SECOND, letters)
    }

    fn offset(&self, at: Micros) -> Micros {
        self.state(at).0
    }

    pub fn local(&self, at: Micros) -> Local {
        let (offset, zone) = self.state(at);
        let there = at + offset;
        let day = there.div_euclid(DAY);
        let (year, month, day_of_month) = record::time::date(day);
        Local {
            day,
            minute: u32::try_from(there.rem_euclid(DAY) / MINUTE).unwrap_or(0),
            // 1970-01-01 was a Thursday.
            weekday: u8::try_from((day + 3).rem_euclid(7)).unwrap_or(0),
            year,
            month,
            day_of_month,
            zone,
        }
    }

    /// The first instant after `after` at which the clock there shows `minute` (on `weekday`, if
    /// one is given). A time that a day skips comes an offset's change later that day; of one that
    /// a day has twice, the earlier is meant unless it has passed.
    pub fn next(&self, after: Micros, minute: u32, weekday: Option<u8>) -> Micros {
        let today = self.local(after).day;
        for day in today - 1..=today + 8 {
            if weekday.is_some_and(|wanted| Micros::from(wanted) != (day + 3).rem_euclid(7)) {
                continue;
            }
            let there = day * DAY + Micros::from(minute) * MINUTE;
            let mut found: Vec<Micros> =
                [there - DAY, there + DAY].map(|near| there - self.offset(near)).into();
            found.sort_unstable();
            let shows = |at: &Micros| at + self.offset(*at) == there;
            let exact: Vec<Micros> = found.iter().copied().filter(shows).collect();
            let chosen = if exact.is_empty() { found.split_off(1) } else { exact };
            if let Some(at) = chosen.into_iter().find(|at| *at > after) {
                return at;
            }
        }
        after + 7 * DAY
    }
}

/// `UTC-03`, `UTC+0530`.
fn short(offset: FixedOffset) -> String {
    let text = format!("UTC{offset}").replace(':', "");
    text.strip_suffix("00").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Micros {
        record::time::parse(text).unwrap()
    }

    #[test]
    fn a_clock_shows_summer_and_winter() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let shown = |text| {
            let local = berlin.local(at(text));
            format!(
                "{}-{:02}-{:02} {:02}:{:02} {}",
                local.year,
                local.month,
                local.day_of_month,
                local.minute / 60,
                local.minute % 60,
                local.zone
            )
        };
        assert_eq!(shown("2026-01-13T13:00:00Z"), "2026-01-13 14:00 CET");
        assert_eq!(shown("2026-07-13T23:30:00Z"), "2026-07-14 01:30 CEST");
        assert_eq!(
            Zone::named("America/Sao_Paulo").unwrap().local(at("2026-01-13T13:00:00Z")).zone,
            "UTC-03"
        );
        assert_eq!(berlin.local(at("2026-01-13T13:00:00Z")).weekday, 1, "a Tuesday");
        assert!(Zone::named("Europe/Atlantis").is_none());
    }

    #[test]
    fn a_time_that_is_skipped_or_doubled_comes_once() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        // On 29 March 2026 the clock goes from 02:00 to 03:00, on 25 October from 03:00 to 02:00.
        assert_eq!(berlin.next(at("2026-03-29T00:00:00Z"), 150, None), at("2026-03-29T01:30:00Z"));
        assert_eq!(berlin.next(at("2026-10-24T23:00:00Z"), 150, None), at("2026-10-25T00:30:00Z"));
        assert_eq!(
            berlin.next(at("2026-01-13T13:00:00Z"), 8 * 60, Some(0)),
            at("2026-01-19T07:00:00Z")
        );
    }

    proptest! {
        /// Against looking at every minute.
        #[test]
        fn the_next_time_is_the_first_minute_that_shows_it(days in 0i64..700, minutes in 0i64..1440, wanted in 0u32..1440) {
            let zone = Zone::named("America/New_York").unwrap();
            let after = at("2026-01-01T00:00:00Z") + days * DAY + minutes * MINUTE;
            let naive = (1..=1501).map(|step| after + step * MINUTE).find(|instant| zone.local(*instant).minute == wanted);
            let next = zone.next(after, wanted, None);
            match naive {
                Some(naive) if zone.local(naive).day - zone.local(after).day <= 1 => prop_assert!(next <= naive && next > after),
                _ => prop_assert!(next > after && next - after <= 25 * 60 * MINUTE),
            }
            if naive.is_some_and(|naive| naive - after < DAY - 60 * MINUTE) {
                prop_assert_eq!(Some(next), naive);
            }
        }
    }
}
