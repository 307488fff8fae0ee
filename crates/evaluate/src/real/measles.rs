//! Measles cases of counties by week: is the first week of an outbreak seen?

use std::fmt::Write as _;

use super::bench::{GAP, WEEKS_A_YEAR, episodes};
use super::python::{Random, fixed, general, mean, median};
use super::{Question, RealError, Scores, columns, in_alarm, number, steps_where};

/// Weeks of zeros before the file begins: nobody is known to have been ill.
const BEFORE: usize = 26;
const RATES: [f64; 4] = [0.01, 0.02, 0.05, 0.1];

struct Counties {
    cases: Vec<Vec<f64>>,
    weeks: usize,
    /// Counties with an outbreak, and its first week of three cases.
    first: Vec<(usize, usize)>,
}

/// What alarms of the counties are.
struct Counted {
    false_episodes: usize,
    before: usize,
    /// Weeks from the first one of three cases to the first alarm then or later.
    delays: Vec<usize>,
}

pub(super) fn table(question: &Question) -> Result<String, RealError> {
    let counties = Counties::read(question)?;
    let judge = |cases: &Vec<f64>| {
        question.detector.judge(&cases.iter().copied().map(Some).collect::<Vec<_>>())
    };
    let answers: Vec<_> = counties.cases.iter().map(judge).collect();
    let scores = Scores::of(&answers);
    let own: Vec<Vec<usize>> = answers.iter().map(|answer| in_alarm(answer)).collect();
    let none = counties
        .first
        .iter()
        .filter(|(county, week)| answers[*county][*week].alarm.is_none())
        .count();
    let mut text = format!(
        "{}: {} counties, {} cases; {} outbreaks (>= 20 cases in all, a week of >= 3)\n{}  chance \
         level of that: {}; no answer in the first week of >= 3: {none}\n",
        question.detector.title(" "),
        counties.cases.len(),
        counties.cases.iter().flatten().sum::<f64>(),
        counties.first.len(),
        counties.line("own threshold", &own),
        fixed(counties.chance(&own), 2)
    );
    for rate in RATES {
        let shown = general(rate, 6);
        match counties.at_rate(&scores, rate) {
            None => drop(writeln!(text, "  at {shown} false a year: never")),
            Some((score, alarms)) => {
                let score = scores.shown(score);
                let what = format!("at {shown} false a county and year ({score})");
                text.push_str(&counties.line(&what, &alarms));
            }
        }
    }
    Ok(text)
}

impl Counties {
    fn read(question: &Question) -> Result<Counties, RealError> {
        let path = question.folder.join("measles_us.csv.gz");
        let mut names: Vec<String> = Vec::new();
        let mut cases: Vec<Vec<f64>> = Vec::new();
        for [name, count] in columns(&path, ["county", "cases"])? {
            let at = match names.iter().rposition(|known| *known == name) {
                Some(at) => at,
                None => {
                    names.push(name);
                    cases.push(vec![0.0; BEFORE]);
                    names.len() - 1
                }
            };
            cases[at].push(number(&path, &count)? as f64);
        }
        let weeks = cases.first().map_or(0, Vec::len);
        if weeks < 2 * BEFORE + 1 {
            return Err(RealError::TooShort { path });
        }
        let first = |cases: &Vec<f64>| {
            let week = cases.iter().position(|count| *count >= 3.0)?;
            (cases.iter().sum::<f64>() >= 20.0).then_some(week)
        };
        let first =
            cases.iter().enumerate().filter_map(|(at, cases)| Some((at, first(cases)?))).collect();
        Ok(Counties { cases, weeks, first })
    }

    fn years(&self) -> f64 {
        (self.cases.len() * (self.weeks - BEFORE)) as f64 / WEEKS_A_YEAR
    }

    fn false_episodes(&self, alarms: &[Vec<usize>]) -> usize {
        let is_false = |cases: &[f64], (first, _): (usize, usize)| {
            cases[first.saturating_sub(4)..(first + 5).min(cases.len())].iter().sum::<f64>() < 5.0
        };
        let of_county = |(cases, at): (&Vec<f64>, &Vec<usize>)| {
            episodes(at, GAP).into_iter().filter(|episode| is_false(cases, *episode)).count()
        };
        self.cases.iter().zip(alarms).map(of_county).sum()
    }

    fn counted(&self, alarms: &[Vec<usize>]) -> Counted {
        let delay = |&(county, week): &(usize, usize)| {
            alarms[county].iter().find(|step| **step >= week).map(|step| step - week)
        };
        let by_then = |(county, week): &&(usize, usize)| {
            alarms[*county].first().is_some_and(|first| first <= week)
        };
        Counted {
            false_episodes: self.false_episodes(alarms),
            before: self.first.iter().filter(by_then).count(),
            delays: self.first.iter().filter_map(delay).collect(),
        }
    }

    fn line(&self, what: &str, alarms: &[Vec<usize>]) -> String {
        let Counted { false_episodes, before, delays } = self.counted(alarms);
        let n = self.first.len();
        let within = |weeks: usize| delays.iter().filter(|delay| **delay <= weeks).count();
        let hit: Vec<bool> =
            self.first.iter().map(|(county, week)| alarms[*county].contains(week)).collect();
        let drawn = Random::new(5).bootstrap(n, 400, |chosen| {
            chosen.iter().filter(|at| hit[**at]).count() as f64 / n as f64
        });
        let at = |nth: usize| fixed(drawn.get(nth).copied().unwrap_or(f64::NAN), 2);
        format!(
            "  {what}: in the first week of >= 3 {}/{n} = {} ({}-{}), then or before {before}, \
             then or within two weeks {}; median delay {}; false {false_episodes} = {:.3} a \
             county and year\n",
            within(0),
            fixed(within(0) as f64 / n as f64, 2),
            at(10),
            at(389),
            within(2),
            general(median(delays.iter().map(|delay| *delay as f64).collect()), 6),
            false_episodes as f64 / self.years()
        )
    }

    /// The share of first weeks in alarm where they are moved in a ring by a random stretch.
    fn chance(&self, alarms: &[Vec<usize>]) -> f64 {
        let mut random = Random::new(6);
        let span = self.weeks - BEFORE;
        let mut is_hit = |(county, week): &&(usize, usize)| {
            let by = random.between(13, span - 13);
            // Of a first week before the file begins, Python's remainder.
            let moved = (*week as i64 - BEFORE as i64 - by as i64).rem_euclid(span as i64);
            alarms[*county].contains(&(BEFORE + moved as usize))
        };
        let mut share =
            || self.first.iter().filter(&mut is_hit).count() as f64 / self.first.len() as f64;
        mean(&[(); 20].map(|()| share()))
    }

    /// Threshold and alarms with at most so many false episodes a county and year.
    fn at_rate(&self, scores: &Scores, rate: f64) -> Option<(f64, Vec<Vec<usize>>)> {
        let mut values: Vec<f64> = scores.of_series.iter().flatten().copied().flatten().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        values.dedup();
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let mut ranks: Vec<usize> = (0..=300)
            .map(|nth| n.powf(f64::from(nth) / 300.0).round_ties_even() as usize - 1)
            .collect();
        ranks.dedup();
        let mut best = None;
        for value in ranks.into_iter().map(|rank| values[rank]) {
            let alarms: Vec<Vec<usize>> = scores
                .of_series
                .iter()
                .map(|scores| steps_where(scores, |score| score >= value))
                .collect();
            let found = self.false_episodes(&alarms) as f64 / self.years();
            if found <= rate {
                best = Some((value, alarms));
            } else if found > 1.5 * rate {
                break;
            }
        }
        best
    }
}
