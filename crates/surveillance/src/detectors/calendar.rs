//! Years by the calendar: which points of a dated series lie at the same time of past years.
//!
//! Dates are days since 1970-01-01, in order; out of order they find nothing. Follows R's
//! `seq.Date`: a year back from 29 February is 1 March;
//! weekly points move to the nearest same weekday, monthly ones to the same day of the month.

use record::time::date;

/// Days beyond this are no dates, and are not reckoned with: 270,000 years.
pub(super) const DAYS_MAX: u64 = 100_000_000;

/// Index of `k` and of the points at the same time of the last `years`, newest first; none where
/// one of them is not there.
pub(super) fn same_time_in_past_years(
    days: &[i64],
    k: usize,
    years: usize,
    frequency: usize,
) -> Option<Vec<usize>> {
    let now = days[k];
    let mut indices = vec![k];
    for year in 1..=years {
        let reference = years_back(now, year as i64);
        let reference =
            if frequency == 52 { nearest_same_weekday(reference, now) } else { reference };
        let before = &days[..indices.last().copied().unwrap_or(k)];
        indices.push(before.binary_search(&reference).ok()?);
    }
    Some(indices)
}

/// Index of the points within `half_width` steps of the same time of the last `years`, those that
/// exist; in order of years, newest year first, oldest point of a window first.
pub(super) fn windows(
    days: &[i64],
    k: usize,
    years: usize,
    half_width: usize,
    frequency: usize,
) -> Vec<usize> {
    let now = days[k];
    let mut indices = Vec::new();
    for year in 1..=years {
        let centre = years_back(now, year as i64);
        for step in -(half_width as i64)..=half_width as i64 {
            let day = match frequency {
                12 => months_on(centre, step),
                52 => nearest_same_weekday(centre + 7 * step, now),
                _ => centre + step,
            };
            indices.extend(days[..k].binary_search(&day).ok());
        }
    }
    indices
}

pub(super) fn years_back(day: i64, years: i64) -> i64 {
    let (year, month, of_month) = date(day);
    day_of(year - years, i64::from(month), i64::from(of_month))
}

/// Months on, on the same day of the month; beyond the month's end it runs on into the next.
pub(super) fn months_on(day: i64, months: i64) -> i64 {
    let (year, month, of_month) = date(day);
    let since = year * 12 + i64::from(month) - 1 + months;
    day_of(since.div_euclid(12), since.rem_euclid(12) + 1, i64::from(of_month))
}

pub(super) fn nearest_same_weekday(day: i64, like: i64) -> i64 {
    let on = (like - day).rem_euclid(7);
    if on < 7 - on { day + on } else { day + on - 7 }
}

/// The inverse of [`date`]; a day of the month beyond its end runs on into the next month.
pub(super) fn day_of(year: i64, month: i64, of_month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + of_month - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}
