//! Public holidays, which the default detector takes for Sundays.
//!
//! By fixed rules, so that a year to come needs no table: days of a month, days before and after
//! Easter, nth weekdays of a month. Of whole countries only, and only where such a rule gives them
//! (no lunar calendars, no equinoxes, no days in lieu). A country that isn't here has none. Knows
//! no topics and no counts.

use record::Micros;
use record::time::{DAY, HOUR, date};

use super::calendar::day_of;

struct Country {
    code: &'static str,
    /// Its own time, near enough to know which day it is.
    hours_east: i64,
    /// Month and day.
    fixed: &'static [(i64, i64)],
    /// Days after Easter Sunday.
    easter: &'static [i64],
    /// Month, weekday from Monday = 0, and which: 5 is the last.
    weekdays: &'static [(i64, i64, i64)],
}

const fn country(
    code: &'static str,
    hours_east: i64,
    fixed: &'static [(i64, i64)],
    easter: &'static [i64],
    weekdays: &'static [(i64, i64, i64)],
) -> Country {
    Country { code, hours_east, fixed, easter, weekdays }
}

const MAUNDY_THURSDAY: i64 = -3;
const GOOD_FRIDAY: i64 = -2;
const EASTER_MONDAY: i64 = 1;
const ASCENSION: i64 = 39;
const WHIT_MONDAY: i64 = 50;
const CORPUS_CHRISTI: i64 = 60;

#[rustfmt::skip]
const COUNTRIES: &[Country] = &[
    country("AT", 1, &[(1, 1), (1, 6), (5, 1), (8, 15), (10, 26), (11, 1), (12, 8), (12, 25), (12, 26)], &[EASTER_MONDAY, ASCENSION, WHIT_MONDAY, CORPUS_CHRISTI], &[]),
    country("AU", 10, &[(1, 1), (1, 26), (4, 25), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY], &[]),
    country("BE", 1, &[(1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25)], &[EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("BR", -3, &[(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (11, 20), (12, 25)], &[-48, -47, GOOD_FRIDAY, CORPUS_CHRISTI], &[]),
    country("CA", -5, &[(1, 1), (7, 1), (9, 30), (12, 25), (12, 26)], &[GOOD_FRIDAY], &[(9, 0, 1), (10, 0, 2)]),
    country("CH", 1, &[(1, 1), (8, 1), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("CZ", 1, &[(1, 1), (5, 1), (5, 8), (7, 5), (7, 6), (9, 28), (10, 28), (11, 17), (12, 24), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY], &[]),
    country("DE", 1, &[(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("DK", 1, &[(1, 1), (12, 25), (12, 26)], &[MAUNDY_THURSDAY, GOOD_FRIDAY, EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("ES", 1, &[(1, 1), (1, 6), (5, 1), (8, 15), (10, 12), (11, 1), (12, 6), (12, 8), (12, 25)], &[GOOD_FRIDAY], &[]),
    country("FI", 2, &[(1, 1), (1, 6), (5, 1), (12, 6), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY, ASCENSION], &[]),
    country("FR", 1, &[(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)], &[EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("GB", 0, &[(1, 1), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY], &[(5, 0, 1), (5, 0, 5), (8, 0, 5)]),
    country("HU", 1, &[(1, 1), (3, 15), (5, 1), (8, 20), (10, 23), (11, 1), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY, WHIT_MONDAY], &[]),
    country("IE", 0, &[(1, 1), (3, 17), (12, 25), (12, 26)], &[EASTER_MONDAY], &[(2, 0, 1), (5, 0, 1), (6, 0, 1), (8, 0, 1), (10, 0, 5)]),
    country("IT", 1, &[(1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 8), (12, 25), (12, 26)], &[EASTER_MONDAY], &[]),
    country("JP", 9, &[(1, 1), (2, 11), (2, 23), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (11, 3), (11, 23)], &[], &[(1, 0, 2), (7, 0, 3), (9, 0, 3), (10, 0, 2)]),
    country("MX", -6, &[(1, 1), (5, 1), (9, 16), (12, 25)], &[], &[(2, 0, 1), (3, 0, 3), (11, 0, 3)]),
    country("NL", 1, &[(1, 1), (4, 27), (12, 25), (12, 26)], &[EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("NO", 1, &[(1, 1), (5, 1), (5, 17), (12, 25), (12, 26)], &[MAUNDY_THURSDAY, GOOD_FRIDAY, EASTER_MONDAY, ASCENSION, WHIT_MONDAY], &[]),
    country("NZ", 12, &[(1, 1), (1, 2), (2, 6), (4, 25), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY], &[(6, 0, 1), (10, 0, 4)]),
    country("PL", 1, &[(1, 1), (1, 6), (5, 1), (5, 3), (8, 15), (11, 1), (11, 11), (12, 25), (12, 26)], &[EASTER_MONDAY, CORPUS_CHRISTI], &[]),
    country("PT", 0, &[(1, 1), (4, 25), (5, 1), (6, 10), (8, 15), (10, 5), (11, 1), (12, 1), (12, 8), (12, 25)], &[GOOD_FRIDAY, CORPUS_CHRISTI], &[]),
    country("SE", 1, &[(1, 1), (1, 6), (5, 1), (6, 6), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY, ASCENSION], &[]),
    country("US", -6, &[(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)], &[], &[(1, 0, 3), (2, 0, 3), (5, 0, 5), (9, 0, 1), (10, 0, 2), (11, 3, 4)]),
    country("ZA", 2, &[(1, 1), (3, 21), (4, 27), (5, 1), (6, 16), (8, 9), (9, 24), (12, 16), (12, 25), (12, 26)], &[GOOD_FRIDAY, EASTER_MONDAY], &[]),
];

/// The day that a window of 24 h ending at `end` is to be taken for by weekday factors
/// (`pool::Window::day`): the number of the UTC day that it ends in, or, where most of it lies on a
/// public holiday of the region's country, that of a window ending at the same hour whose most lies
/// on a Sunday. `country` is a code of ISO 3166-1.
pub fn day(country: &str, end: Micros) -> i64 {
    let ends = end.div_euclid(DAY);
    let Some(country) = COUNTRIES.iter().find(|known| known.code == country) else { return ends };
    let mostly = (end - DAY / 2 + country.hours_east * HOUR).div_euclid(DAY);
    if is_holiday(country, mostly) { ends + (6 - weekday(mostly)) } else { ends }
}

fn is_holiday(country: &Country, day: i64) -> bool {
    let (year, month, of_month) = date(day);
    let (month, of_month) = (i64::from(month), i64::from(of_month));
    let nth = (of_month - 1) / 7 + 1;
    let is_last = i64::from(date(day + 7).1) != month;
    country.fixed.contains(&(month, of_month))
        || country.easter.contains(&(day - easter(year)))
        || country.weekdays.iter().any(|(of, on, which)| {
            *of == month && *on == weekday(day) && (*which == nth || (*which == 5 && is_last))
        })
}

/// From Monday = 0; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// Easter Sunday of the Gregorian calendar (Meeus 1991, after an anonymous author in Nature 13,
/// 1876).
fn easter(year: i64) -> i64 {
    let a = year.rem_euclid(19);
    let (b, c) = (year.div_euclid(100), year.rem_euclid(100));
    let f = (b + 8) / 25;
    let h = (19 * a + b - b / 4 - (b - f + 1) / 3 + 15) % 30;
    let l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let sum = h + l - 7 * m + 114;
    day_of(year, sum / 31, sum % 31 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_falls_on_its_sundays() {
        for (year, month, of_month) in [
            (2000, 4, 23),
            (2008, 3, 23),
            (2011, 4, 24),
            (2024, 3, 31),
            (2026, 4, 5),
            (2027, 3, 28),
            (2038, 4, 25),
        ] {
            assert_eq!(easter(year), day_of(year, month, of_month), "{year}");
        }
        assert!((1900..2200).all(|year| weekday(easter(year)) == 6));
    }

    #[test]
    fn holidays_are_taken_for_sundays_at_the_same_hour_and_other_days_for_themselves() {
        let ending = |country: &str, (year, month, of_month): (i64, i64, i64), hour: i64| {
            day(country, day_of(year, month, of_month) * DAY + hour * HOUR)
        };
        let plain = |(year, month, of_month): (i64, i64, i64)| day_of(year, month, of_month);
        // Thursday 2026-05-14 is Ascension: the window of that day ends on Friday 00:00, as that of
        // a Sunday on Monday 00:00.
        assert_eq!(weekday(ending("DE", (2026, 5, 15), 0)), 0);
        assert_eq!(ending("GB", (2026, 5, 15), 0), plain((2026, 5, 15)));
        // Thanksgiving 2026-11-26; in the west most of what ends at 06:00 UTC on Friday is
        // Thursday's.
        assert_eq!(weekday(ending("US", (2026, 11, 27), 6)), 0);
        assert_eq!(ending("US", (2026, 11, 26), 6), plain((2026, 11, 26)));
        // The last Monday of May, not the fourth of five.
        assert_eq!(weekday(ending("GB", (2027, 6, 1), 0)), 0);
        assert_eq!(ending("GB", (2027, 5, 25), 0), plain((2027, 5, 25)));
        for country in ["001", "ZZ", "lang:de", "", "de"] {
            assert_eq!(ending(country, (2026, 12, 26), 0), plain((2026, 12, 26)));
        }
        for country in COUNTRIES {
            assert!(country.code.len() == 2 && is_holiday(country, plain((2026, 1, 1))));
            assert!(
                (0..366).filter(|on| is_holiday(country, plain((2028, 1, 1)) + on)).count() < 20
            );
        }
        assert!(COUNTRIES.is_sorted_by(|a, b| a.code < b.code));
    }
}
