//! Operating threshold: the p of an alarm for a number of false episodes a week, and back.
//!
//! Read by the default judge in `watch` and by the evaluation. Knows no series, only their number.
//!
//! The table is data, made by `pumphandle evaluate --operating` from simulated in-control series
//! that are judged hourly and whose alarms are joined as alerts' are; a p is not a rate: windows
//! overlap, and counts are discrete.
//! It is committed with the code.

/// (p, false episodes per series and year of windows judged hourly), from rare to common.
const TABLE: &[(f64, f64)] = &include!("operating/table.in");

const WEEKS_A_YEAR: f64 = 365.25 / 7.0;
/// This share of the false episodes is planned for: reality has more than was simulated.
const PLANNED: f64 = 0.8;
/// However few series there are, no p above this is an alarm.
const P_MOST: f64 = 0.01;
/// However many there are, the table is not trusted below this.
const P_LEAST: f64 = 1e-8;

/// The p at which `series` series together give `per_week` false episodes a week.
pub fn threshold(series: usize, per_week: f64) -> f64 {
    let rate = PLANNED * per_week * WEEKS_A_YEAR / series.max(1) as f64;
    interpolated(rate, |(p, rate)| (*rate, *p)).clamp(P_LEAST, P_MOST)
}

/// Mean time in days between false episodes of this p or smaller, among `series` series.
pub fn recurrence_days(p: f64, series: usize) -> Option<f64> {
    if !(0.0..=1.0).contains(&p) {
        return None;
    }
    let rate = interpolated(p.clamp(1e-12, P_MOST), |(p, rate)| (*p, *rate)) * series.max(1) as f64;
    Some(365.25 / rate)
}

/// On logarithms; beyond the ends along the outermost two.
fn interpolated(x: f64, of: impl Fn(&(f64, f64)) -> (f64, f64)) -> f64 {
    let above = TABLE.partition_point(|row| of(row).0 < x).clamp(1, TABLE.len() - 1);
    let ((x0, y0), (x1, y1)) = (of(&TABLE[above - 1]), of(&TABLE[above]));
    let share = (libm::log(x) - libm::log(x0)) / (libm::log(x1) - libm::log(x0));
    libm::exp(libm::log(y0) + share * (libm::log(y1) - libm::log(y0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_series_lower_the_threshold_and_recurrence_inverts_it() {
        let mut before = 1.0;
        for series in [1, 10, 100, 500, 5_000, 100_000] {
            let p = threshold(series, 5.0);
            assert!(p <= before && threshold(series, 1.0) <= p);
            before = p;
            if p < P_MOST {
                let days = recurrence_days(p, series).unwrap();
                assert!((days * 5.0 * PLANNED / 7.0 - 1.0).abs() < 1e-6, "{series}: {days}");
            }
        }
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        assert_eq!(recurrence_days(f64::NAN, 3), None);
    }
}
