//! Regions of a simulated world: shares of posts, clocks and languages.
//!
//! Shares, hours and weekdays are invented, with the proportions of public networks in mind. Clocks
//! are fixed offsets from UTC, without summer time.

use crate::words::Lang::{self, Ar, De, En, Es, Fr, Ja};
use crate::{DAY_US, MINUTE_US};

/// A row of the table. Several rows may have one region: those without a place (`ZZ`) do, one for
/// each language, as even they have nights.
pub(crate) struct Place {
    pub(crate) region: &'static str,
    /// Share among the rows of its kind (located or not), in no unit.
    pub(crate) weight: f64,
    utc_offset_minutes: i64,
    /// Languages and their shares, which sum to 1.
    langs: &'static [(Lang, f64)],
}

pub(crate) const UNLOCATED: &str = "ZZ";

/// All regions that the world's posts may come from, each once.
pub fn regions() -> impl Iterator<Item = &'static str> {
    let located = PLACES.iter().map(|place| place.region).filter(|region| *region != UNLOCATED);
    located.chain([UNLOCATED])
}

/// Activity in a region, 0 where nobody is.
pub(crate) fn activity(region: &str, instant_us: i64) -> f64 {
    let place = PLACES.iter().find(|place| place.region == region);
    place.map_or(0.0, |place| place.activity(instant_us))
}

impl Place {
    /// Activity at an instant as a multiple of the week's mean, about.
    pub(crate) fn activity(&self, instant_us: i64) -> f64 {
        let (weekday, minute) = self.local(instant_us);
        // On Saturday and Sunday everything is an hour later.
        let shift = if weekday >= 5 { 1380 } else { 0 };
        let minute = (minute + shift) % 1440;
        let (hour, share) = ((minute / 60) as usize, (minute % 60) as f64 / 60.0);
        let by_hour = HOURS[hour] * (1.0 - share) + HOURS[(hour + 1) % 24] * share;
        by_hour * WEEKDAYS[weekday]
    }

    /// How much of the talk is about health, as a multiple of the week's mean: Mondays are worst.
    pub(crate) fn health(&self, instant_us: i64) -> f64 {
        HEALTH_WEEKDAYS[self.local(instant_us).0]
    }

    pub(crate) fn lang(&self, unit: f64) -> Lang {
        let mut left = unit;
        for (lang, share) in self.langs {
            left -= share;
            if left < 0.0 {
                return *lang;
            }
        }
        self.langs[0].0
    }

    /// Weekday (Monday is 0) and minute of the day.
    fn local(&self, instant_us: i64) -> (usize, i64) {
        let local_us = instant_us + self.utc_offset_minutes * MINUTE_US;
        // 1 January 1970 was a Thursday.
        let weekday = (local_us.div_euclid(DAY_US) + 3).rem_euclid(7);
        (weekday as usize, local_us.rem_euclid(DAY_US) / MINUTE_US)
    }
}

/// From midnight on; the mean is 1.
const HOURS: [f64; 24] = [
    0.61, 0.39, 0.24, 0.18, 0.16, 0.20, 0.35, 0.61, 0.89, 1.05, 1.16, 1.22, //
    1.33, 1.33, 1.27, 1.27, 1.33, 1.44, 1.55, 1.66, 1.72, 1.66, 1.38, 1.00,
];

/// Monday to Sunday; the mean is 1.
const WEEKDAYS: [f64; 7] = [1.00, 1.02, 1.00, 1.00, 0.97, 0.95, 1.06];
const HEALTH_WEEKDAYS: [f64; 7] = [1.15, 1.06, 1.03, 1.00, 0.96, 0.88, 0.92];

const fn place(
    region: &'static str,
    weight: f64,
    utc_offset_minutes: i64,
    langs: &'static [(Lang, f64)],
) -> Place {
    Place { region, weight, utc_offset_minutes, langs }
}

const ENGLISH: &[(Lang, f64)] = &[(En, 1.0)];
const ENGLISH_SPANISH: &[(Lang, f64)] = &[(En, 0.85), (Es, 0.15)];
const GERMAN: &[(Lang, f64)] = &[(De, 0.9), (En, 0.1)];
const FRENCH: &[(Lang, f64)] = &[(Fr, 0.93), (En, 0.07)];
const SPANISH: &[(Lang, f64)] = &[(Es, 0.95), (En, 0.05)];
const JAPANESE: &[(Lang, f64)] = &[(Ja, 0.98), (En, 0.02)];
const ARABIC: &[(Lang, f64)] = &[(Ar, 0.85), (En, 0.15)];
const ARABIC_FRENCH: &[(Lang, f64)] = &[(Ar, 0.6), (Fr, 0.4)];

pub(crate) static PLACES: &[Place] = &[
    place("US", 7.0, -360, ENGLISH_SPANISH),
    place("US-CA", 6.0, -480, ENGLISH_SPANISH),
    place("US-NY", 4.5, -300, ENGLISH),
    place("US-TX", 4.0, -360, ENGLISH_SPANISH),
    place("US-FL", 2.8, -300, ENGLISH_SPANISH),
    place("US-WA", 2.4, -480, ENGLISH),
    place("US-IL", 2.2, -360, ENGLISH),
    place("US-PA", 1.9, -300, ENGLISH),
    place("US-MA", 1.8, -300, ENGLISH),
    place("US-OR", 1.5, -480, ENGLISH),
    place("US-CO", 1.3, -420, ENGLISH),
    place("US-GA", 1.3, -300, ENGLISH),
    place("US-OH", 1.3, -300, ENGLISH),
    place("US-MN", 1.0, -360, ENGLISH),
    place("CA", 1.0, -300, ENGLISH),
    place("CA-ON", 1.6, -300, ENGLISH),
    place("CA-BC", 0.9, -480, ENGLISH),
    place("CA-QC", 0.9, -300, &[(Fr, 0.75), (En, 0.25)]),
    place("GB", 2.5, 0, ENGLISH),
    place("GB-ENG", 4.0, 0, ENGLISH),
    place("GB-SCT", 1.0, 0, ENGLISH),
    place("GB-WLS", 0.5, 0, ENGLISH),
    place("IE", 0.7, 0, ENGLISH),
    place("DE", 2.0, 60, GERMAN),
    place("DE-BE", 1.5, 60, GERMAN),
    place("DE-NW", 1.4, 60, GERMAN),
    place("DE-BY", 1.2, 60, GERMAN),
    place("DE-HH", 0.8, 60, GERMAN),
    place("DE-HE", 0.6, 60, GERMAN),
    place("DE-SN", 0.5, 60, GERMAN),
    place("AT", 0.6, 60, GERMAN),
    place("CH", 0.6, 60, &[(De, 0.62), (Fr, 0.3), (En, 0.08)]),
    place("BE", 0.5, 60, &[(Fr, 0.6), (En, 0.4)]),
    place("NL", 0.9, 60, ENGLISH),
    place("FR", 1.5, 60, FRENCH),
    place("FR-IDF", 1.6, 60, FRENCH),
    place("FR-ARA", 0.7, 60, FRENCH),
    place("FR-OCC", 0.5, 60, FRENCH),
    place("FR-NAQ", 0.5, 60, FRENCH),
    place("FR-BRE", 0.4, 60, FRENCH),
    place("ES", 1.0, 60, SPANISH),
    place("ES-MD", 1.0, 60, SPANISH),
    place("ES-CT", 0.8, 60, SPANISH),
    place("ES-AN", 0.6, 60, SPANISH),
    place("MX", 0.8, -360, SPANISH),
    place("MX-CMX", 0.8, -360, SPANISH),
    place("AR", 0.9, -180, SPANISH),
    place("CL", 0.5, -180, SPANISH),
    place("CO", 0.6, -300, SPANISH),
    place("JP", 3.0, 540, JAPANESE),
    place("JP-13", 2.5, 540, JAPANESE),
    place("JP-27", 1.2, 540, JAPANESE),
    place("JP-23", 0.8, 540, JAPANESE),
    place("EG", 0.5, 120, ARABIC),
    place("SA", 0.5, 180, ARABIC),
    place("AE", 0.3, 240, ARABIC),
    place("MA", 0.3, 60, ARABIC_FRENCH),
    place("DZ", 0.3, 60, ARABIC_FRENCH),
    place("AU", 0.7, 600, ENGLISH),
    place("AU-NSW", 0.8, 600, ENGLISH),
    place("AU-VIC", 0.7, 600, ENGLISH),
    place("NZ", 0.5, 720, ENGLISH),
    place("IN", 0.8, 330, ENGLISH),
    place("NG", 0.5, 60, ENGLISH),
    place("ZA", 0.4, 120, ENGLISH),
    place(UNLOCATED, 50.0, -360, ENGLISH),
    place(UNLOCATED, 12.0, 0, ENGLISH),
    place(UNLOCATED, 16.0, 540, JAPANESE),
    place(UNLOCATED, 7.0, 60, GERMAN),
    place(UNLOCATED, 6.0, 60, FRENCH),
    place(UNLOCATED, 6.0, -240, SPANISH),
    place(UNLOCATED, 3.0, 180, ARABIC),
];
