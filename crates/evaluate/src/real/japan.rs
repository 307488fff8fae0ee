//! Notifiable diseases by prefecture and week, in years that were quiet nationally.

use std::fmt::Write as _;

use super::bench::{GAP, episodes};
use super::calibration::{self, Calm};
use super::python::general;
use super::{BANDS, Question, RATES, RealError, Scores, columns, in_alarm, number, steps_where};

struct Prefecture {
    name: String,
    observed: Vec<Option<f64>>,
    quiet: Vec<bool>,
}

pub(super) fn table(question: &Question) -> Result<String, RealError> {
    let all = read(question)?;
    let answers: Vec<_> =
        all.iter().map(|series| question.detector.judge(&series.observed)).collect();
    let scores = Scores::of(&answers);
    let title = question.detector.title(" ");
    let mut text = format!("{title}: {} series; in nationally quiet years\n", all.len());
    let calm: Vec<Calm> = all
        .iter()
        .zip(&answers)
        .map(|(series, judged)| Calm { observed: &series.observed, judged, steps: series.calm() })
        .collect();
    text.push_str(&calibration::lines(question.detector, &calm));
    let own: Vec<Vec<usize>> = answers.iter().map(|answer| in_alarm(answer)).collect();
    for (low, high) in BANDS {
        let band = Band {
            series: (0..all.len())
                .filter(|at| (low..high).contains(&all[*at].mean()))
                .map(|at| (at, &all[at]))
                .collect(),
            scores: &scores,
        };
        if !band.series.is_empty() {
            let (low, high) = (general(low, 6), general(high, 6));
            let _ = writeln!(text, "  mean {low}-{high}: {}", band.line(&own));
        }
    }
    Ok(text + "  no epidemics are labelled here, so nothing is caught or missed\n")
}

fn read(question: &Question) -> Result<Vec<Prefecture>, RealError> {
    let path = question.folder.join("japan.csv.gz");
    let mut all: Vec<Prefecture> = Vec::new();
    for [name, observed, quiet] in columns(&path, ["series", "observed", "quiet"])? {
        if all.last().is_none_or(|series| series.name != name) {
            all.push(Prefecture { name, observed: Vec::new(), quiet: Vec::new() });
        }
        if let Some(series) = all.last_mut() {
            let count = || number(&path, &observed).map(|count| count as f64);
            series.observed.push((!observed.is_empty()).then(count).transpose()?);
            series.quiet.push(quiet == "1");
        }
    }
    Ok(all)
}

impl Prefecture {
    fn calm(&self) -> Vec<usize> {
        (0..self.quiet.len()).filter(|week| self.quiet[*week]).collect()
    }

    /// Of its quiet years.
    fn mean(&self) -> f64 {
        let counts = self.calm().into_iter().filter_map(|week| self.observed[week]);
        counts.clone().sum::<f64>() / counts.count() as f64
    }
}

/// Series of like means, with their numbers.
struct Band<'a> {
    series: Vec<(usize, &'a Prefecture)>,
    scores: &'a Scores,
}

impl Band<'_> {
    fn years(&self) -> f64 {
        self.series.iter().map(|(_, series)| series.calm().len()).sum::<usize>() as f64 / 52.0
    }

    /// False episodes a series and year.
    fn rate(&self, at: impl Fn(usize) -> Vec<usize>) -> f64 {
        let of_series = |(number, series): &(usize, &Prefecture)| {
            episodes(&at(*number), GAP).iter().filter(|(first, _)| series.quiet[*first]).count()
        };
        self.series.iter().map(of_series).sum::<usize>() as f64 / self.years()
    }

    fn line(&self, own: &[Vec<usize>]) -> String {
        let mut text = format!(
            "false episodes a series and year at the own threshold {:.3} ({:.0} series-years); {} \
             that gives",
            self.rate(|series| own[series].clone()),
            self.years(),
            self.scores.label()
        );
        let grid = self.grid();
        for rate in RATES {
            let found = |value: f64| {
                self.rate(|series| {
                    steps_where(&self.scores.of_series[series], |score| score >= value)
                })
            };
            let best = grid.iter().take_while(|value| found(**value) <= rate).last();
            let shown = best.map_or("none".to_owned(), |best| self.scores.value(*best));
            let _ = write!(text, " {}: {shown}", general(rate, 6));
        }
        text
    }

    /// Scores of quiet weeks that are tried as thresholds, highest first.
    fn grid(&self) -> Vec<f64> {
        let scores = &self.scores.of_series;
        let mut values: Vec<f64> = self
            .series
            .iter()
            .flat_map(|(number, series)| {
                series.calm().into_iter().filter_map(|week| scores[*number][week])
            })
            .collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let n = values.len() as f64;
        let rank = |nth: u32| (n * 10f64.powf(-5.0 + f64::from(nth) / 24.0)) as usize;
        let mut grid: Vec<f64> =
            (0..120).filter_map(|nth| values.get(rank(nth)).copied()).collect();
        grid.dedup();
        grid
    }
}
