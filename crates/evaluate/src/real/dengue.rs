//! Weekly posts about dengue in municipalities, with the epidemics that entered cases show.

use std::fmt::Write as _;
use std::path::PathBuf;

use record::time::{WEEK, parse_or_date};
use surveillance::detectors::Judgement;

use super::bench::{Bench, Epidemic, GAP, Outcome, episodes};
use super::calibration::{self, Calm};
use super::python::{Random, fixed, general, signed};
use super::{Question, RATES, RealError, Scores, columns, in_alarm, number, time};

/// Weeks after a dead one in which what begins is counted apart; around an epidemic, those that
/// aren't calm.
const AFTERMATH: usize = 8;
/// Weeks without an answer from which on methods can't be compared.
const UNANSWERED: f64 = 0.2;

/// The municipalities, then the state.
struct Panel {
    weeks: Vec<String>,
    from: usize,
    posts: Vec<Vec<f64>>,
    truth: Vec<Vec<Epidemic>>,
    /// Weeks in which the feed was dead, and those up to eight weeks after.
    dead: Vec<bool>,
    after: Vec<bool>,
}

pub(super) fn table(question: &Question) -> Result<String, RealError> {
    let panel = Panel::read(question)?;
    let series = panel.observed();
    let judge = |detector: &super::Detector| -> Vec<Vec<Judgement>> {
        series.iter().map(|observed| detector.judge(observed)).collect()
    };
    let answers = judge(question.detector);
    let scores = Scores::of(&answers);
    let other =
        question.against.map(|other| (other.title(","), Scores::of(&judge(other)).of_series));
    let places: Vec<usize> = (0..panel.state()).collect();
    let large: Vec<usize> = places
        .iter()
        .copied()
        .filter(|place| panel.posts[*place].iter().sum::<f64>() > panel.weeks.len() as f64)
        .collect();
    let mut text = panel.head(&question.detector.title(" "), &answers);
    for (name, places) in [
        (format!("all {} municipalities", places.len()), &places),
        (format!("{} with > 1 post a week", large.len()), &large),
    ] {
        let group = Group {
            bench: panel.bench(places),
            scores: &scores,
            places,
            other: other.as_ref().map(|(title, scores)| (title.as_str(), &scores[..])),
        };
        let own: Vec<_> = places.iter().map(|place| in_alarm(&answers[*place])).collect();
        let _ = writeln!(text, "{name}\n{}", group.own(&own));
        RATES.into_iter().for_each(|rate| text.push_str(&group.at_rate(rate)));
    }
    text.push_str(&panel.of_state(&answers[panel.state()]));
    text.push_str(
        "p in calm weeks (none of an epidemic, 8 before and 8 after, here or in the state)\n",
    );
    let calm: Vec<Calm> = places
        .iter()
        .map(|place| Calm {
            observed: &series[*place],
            judged: &answers[*place],
            steps: panel.calm(*place),
        })
        .collect();
    Ok(text + &calibration::lines(question.detector, &calm))
}

/// `dengue_?.csv.gz` of a folder.
fn file_in(question: &Question) -> PathBuf {
    let names = (b'a'..=b'z').map(|letter| format!("dengue_{}.csv.gz", char::from(letter)));
    let found = names.map(|name| question.folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| question.folder.join("dengue_a.csv.gz"))
}

impl Panel {
    fn read(question: &Question) -> Result<Panel, RealError> {
        let path = file_in(question);
        let (mut weeks, mut dead, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let (mut posts, mut cases, mut people) = (Vec::new(), Vec::new(), Vec::new());
        let named = ["municipality", "week", "posts", "cases", "population", "dead_feed"];
        for [name, week, posted, ill, population, is_dead] in columns(&path, named)? {
            if names.last() != Some(&name) {
                names.push(name);
                posts.push(Vec::new());
                cases.push(Vec::new());
                people.push(number(&path, &population)? as f64);
            }
            for (of, count) in [(&mut posts, posted), (&mut cases, ill)] {
                if let Some(of) = of.last_mut() {
                    of.push(number(&path, &count)? as f64);
                }
            }
            if names.len() == 1 {
                weeks.push(week);
                dead.push(is_dead == "1");
            }
        }
        let too_short = || RealError::TooShort { path: path.clone() };
        let no_date = |_| RealError::NoDate(question.from.to_owned());
        let from = parse_or_date(question.from).map_err(no_date)?;
        let first = time(&path, weeks.first().ok_or_else(too_short)?)?;
        let from = (from - first).div_euclid(WEEK);
        let from = usize::try_from(from).ok().filter(|from| from + 53 < weeks.len());
        let from = from.ok_or_else(too_short)?;
        if posts.iter().any(|of| of.len() != weeks.len()) {
            return Err(too_short());
        }
        for of in [&mut posts, &mut cases] {
            of.push((0..weeks.len()).map(|week| of.iter().map(|of| of[week]).sum()).collect());
        }
        let all = people.iter().sum();
        let mut truth: Vec<Vec<Epidemic>> = cases
            .iter()
            .zip(people)
            .map(|(cases, people)| epidemics(cases, people, 100.0))
            .collect();
        truth.push(epidemics(&cases[cases.len() - 1], all, 60.0));
        let is_after = |week: usize| dead[week.saturating_sub(AFTERMATH)..=week].contains(&true);
        let after = (0..weeks.len()).map(is_after).collect();
        Ok(Panel { from, posts, truth, after, weeks, dead })
    }

    fn state(&self) -> usize {
        self.posts.len() - 1
    }

    /// Without the weeks in which the feed was dead.
    fn observed(&self) -> Vec<Vec<Option<f64>>> {
        let of = |posts: &Vec<f64>| {
            posts.iter().zip(&self.dead).map(|(posts, dead)| (!dead).then_some(*posts)).collect()
        };
        self.posts.iter().map(of).collect()
    }

    fn bench(&self, places: &[usize]) -> Bench<'_> {
        Bench {
            truth: places.iter().map(|place| &self.truth[*place][..]).collect(),
            start: self.from,
            stop: self.weeks.len(),
            excused: &self.after,
        }
    }

    fn head(&self, title: &str, answers: &[Vec<Judgement>]) -> String {
        let weeks = answers[..self.state()].iter().flat_map(|answer| &answer[self.from..]);
        let none = weeks.clone().filter(|judgement| judgement.alarm.is_none()).count();
        let unanswered = none as f64 / weeks.count() as f64;
        let many = if unanswered > UNANSWERED { " (too many to compare: see --from)" } else { "" };
        let (first, last) = (&self.weeks[self.from], &self.weeks[self.weeks.len() - 1]);
        format!("{title}: weeks {first}..{last}, no answer {}{many}\n", fixed(unanswered, 2))
    }

    fn of_state(&self, answer: &[Judgement]) -> String {
        let truth = &self.truth[self.state()];
        let mut runs = episodes(&in_alarm(answer), GAP);
        runs.retain(|(first, _)| *first >= self.from);
        let delay = |epidemic: &Epidemic| {
            let delay =
                epidemic.delay(&runs).map_or("missed".to_owned(), |delay| delay.to_string());
            format!("{} {delay}", self.weeks[epidemic.onset])
        };
        let delays: Vec<String> = truth.iter().map(delay).collect();
        let is_false = |run: &(usize, usize)| {
            !self.after[run.0] && !truth.iter().any(|epidemic| epidemic.meets(*run))
        };
        format!(
            "state, own threshold: weeks from onset to the beginning of the first episode {}; \
             false episodes {}\n",
            delays.join(", "),
            runs.iter().filter(|run| is_false(run)).count()
        )
    }

    /// Weeks without an epidemic here or in the state, and without a dead feed shortly before.
    fn calm(&self, place: usize) -> Vec<usize> {
        let epidemics = || self.truth[place].iter().chain(&self.truth[self.state()]);
        let is_busy = |week: usize| {
            self.after[week]
                || epidemics().any(|epidemic| {
                    week + AFTERMATH >= epidemic.onset && week <= epidemic.end + AFTERMATH
                })
        };
        (self.from..self.weeks.len()).filter(|week| !is_busy(*week)).collect()
    }
}

/// Runs of weeks whose last four bring so many cases a hundred thousand people, and twenty; the
/// README of the data has it in words.
fn epidemics(cases: &[f64], people: f64, per_100k: f64) -> Vec<Epidemic> {
    let four = |week: usize| cases[week.saturating_sub(3)..=week].iter().sum::<f64>();
    let rate = |week: usize| 1e5 * four(week) / people;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for week in (0..cases.len()).filter(|week| rate(*week) >= per_100k && four(*week) >= 20.0) {
        match runs.last_mut() {
            Some((_, last)) if week - *last < 12 => *last = week,
            _ => runs.push((week, week)),
        }
    }
    let mut found: Vec<Epidemic> = Vec::new();
    for (first, end) in runs {
        let mut onset = first;
        while onset > 0 && first - onset < 16 && rate(onset - 1) >= per_100k / 5.0 {
            onset -= 1;
        }
        onset = found.last().map_or(onset, |before| onset.max(before.end + 1));
        // The first of the greatest.
        let peak = (onset..=end).rev().max_by(|a, b| cases[*a].total_cmp(&cases[*b]));
        found.push(Epidemic { onset, peak: peak.unwrap_or(onset), end });
    }
    found
}

/// Some of the places.
struct Group<'a> {
    bench: Bench<'a>,
    scores: &'a Scores,
    places: &'a [usize],
    other: Option<(&'a str, &'a [Vec<Option<f64>>])>,
}

impl Group<'_> {
    /// What alarms catch, up to the delay.
    fn caught(&self, each: &[Outcome], alarms: &[Vec<usize>]) -> String {
        let total = self.bench.total(each);
        let (low, high) = self.bench.interval(each, |total| total.share);
        format!(
            "caught {}/{} = {} ({}-{}), chance {}, median delay {} weeks",
            total.caught,
            total.epidemics,
            fixed(total.share, 2),
            fixed(low, 2),
            fixed(high, 2),
            fixed(self.bench.chance(alarms), 2),
            signed(total.delay, 1)
        )
    }

    fn own(&self, alarms: &[Vec<usize>]) -> String {
        let each = self.bench.each(alarms);
        let total = self.bench.total(&each);
        let (low, high) = self.bench.interval(&each, |total| total.rate);
        format!(
            "  own threshold: {}; false {} ({}-{}) a series and year, {} in all; after an outage {}",
            self.caught(&each, alarms),
            fixed(total.rate, 2),
            fixed(low, 2),
            fixed(high, 2),
            total.false_episodes,
            total.excused
        )
    }

    fn alarms_at(&self, scores: &[Vec<Option<f64>>], rate: f64) -> Option<(f64, Vec<Vec<usize>>)> {
        let scores: Vec<&[Option<f64>]> =
            self.places.iter().map(|place| &scores[*place][..]).collect();
        self.bench.at_rate(&scores, rate)
    }

    fn at_rate(&self, rate: f64) -> String {
        let shown = general(rate, 6);
        let Some((threshold, alarms)) = self.alarms_at(&self.scores.of_series, rate) else {
            return format!("  at {shown} false a year: never\n");
        };
        let each = self.bench.each(&alarms);
        let total = self.bench.total(&each);
        format!(
            "  at {shown} false a year ({}): {}; false {}, after an outage {}{}\n",
            self.scores.shown(threshold),
            self.caught(&each, &alarms),
            fixed(total.rate, 2),
            total.excused,
            self.gain(&each, rate).unwrap_or_default()
        )
    }

    /// How much more is caught than by the other method, places drawn together.
    fn gain(&self, each: &[Outcome], rate: f64) -> Option<String> {
        let (title, scores) = self.other?;
        let (_, alarms) = self.alarms_at(scores, rate)?;
        let rest = self.bench.each(&alarms);
        let gain = |chosen: &[usize]| {
            self.bench.total_of(each, chosen).share - self.bench.total_of(&rest, chosen).share
        };
        let drawn = Random::new(3).bootstrap(each.len(), 400, gain);
        let (own, other) = (self.bench.total(each), self.bench.total(&rest));
        let at = |nth: usize| signed(drawn.get(nth).copied().unwrap_or(f64::NAN), 2);
        Some(format!(
            "; {title} catches {}/{}, so {} ({} to {})",
            other.caught,
            own.epidemics,
            signed(own.share - other.share, 2),
            at(10),
            at(389)
        ))
    }
}
