//! Mentions of companies every five minutes, with the label windows and the score of NAB.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use record::time::{DAY, HOUR, Micros, WEEK};

use super::python::{Random, fixed, general, mean, median};
use super::{Question, RATES, RealError, Scores, columns, number, steps_where, time};

/// Lengths of windows, in hours.
const WINDOWS: [usize; 3] = [1, 6, 24];
/// Windows of one hour of the day are a series.
const HOURS_A_DAY: usize = 24;
/// Below every score: a row that no window ends before.
const NO_SCORE: f64 = -1.0;

/// One file: its rows, and what is labelled.
struct Mentions {
    times: Vec<Micros>,
    /// Hours since the first one.
    hours: Vec<usize>,
    counts: Vec<f64>,
    labels: Vec<(Micros, Micros)>,
}

/// Windows of one length: of each file and row the score of the window that ends there, and the
/// rows in alarm.
struct Rows {
    scores: Vec<Vec<Option<f64>>>,
    own: Vec<Vec<usize>>,
    in_unit: Scores,
}

pub(super) fn table(question: &Question) -> Result<String, RealError> {
    let files = read(question)?;
    let title = question.detector.title(" ");
    let mut text = String::new();
    let mut largest: Vec<Vec<f64>> =
        files.iter().map(|file| vec![NO_SCORE; file.times.len()]).collect();
    for hours in WINDOWS {
        let rows = judge(&files, question, hours);
        let what = format!("{title}, windows of {hours} h, own threshold");
        text.push_str(&line(&what, &files, &rows.own));
        for rate in RATES {
            text.push_str(&at_rate(&files, &rows, rate));
        }
        let scores: Vec<Vec<f64>> = rows
            .scores
            .iter()
            .map(|scores| scores.iter().map(|score| score.unwrap_or(NO_SCORE)).collect())
            .collect();
        let standard = standard(&files, &scores);
        let _ = writeln!(text, "    NAB's standard score at its best threshold: {standard:.1}");
        for (largest, score) in largest.iter_mut().flatten().zip(scores.iter().flatten()) {
            *largest = largest.max(*score);
        }
    }
    let standard = standard(&files, &largest);
    let _ = writeln!(text, "  largest of 1, 6, 24 h: NAB's standard score {standard:.1}");
    Ok(text)
}

fn read(question: &Question) -> Result<Vec<Mentions>, RealError> {
    let folder = question.folder.join("nab_tweets");
    let path = folder.join("windows.json");
    let file =
        File::open(&path).map_err(|source| RealError::Open { path: path.clone(), source })?;
    let labels: BTreeMap<String, Vec<(String, String)>> = serde_json::from_reader(file)
        .map_err(|source| RealError::Json { path: path.clone(), source })?;
    let mut files = Vec::new();
    for (name, labels) in labels {
        let labels = labels
            .iter()
            .map(|(from, to)| Ok((time(&path, from)?, time(&path, to)?)))
            .collect::<Result<_, RealError>>()?;
        let path = folder.join(format!("{name}.gz"));
        let mut mentions =
            Mentions { times: Vec::new(), hours: Vec::new(), counts: Vec::new(), labels };
        for [at, value] in columns(&path, ["timestamp", "value"])? {
            mentions.times.push(time(&path, &at)?);
            mentions.counts.push(number(&path, &value)? as f64);
        }
        let (Some(first), true) = (mentions.times.first(), mentions.times.is_sorted()) else {
            return Err(RealError::TooShort { path });
        };
        let first = first.div_euclid(HOUR);
        mentions.hours =
            mentions.times.iter().map(|time| (time.div_euclid(HOUR) - first) as usize).collect();
        files.push(mentions);
    }
    Ok(files)
}

fn judge(files: &[Mentions], question: &Question, hours: usize) -> Rows {
    let mut answers = Vec::new();
    let mut rows_of = Vec::new();
    for (nth, file) in files.iter().enumerate() {
        for offset in 0..HOURS_A_DAY {
            let (ends, series) = file.windows(hours, offset);
            if ends.len() > 3 {
                answers.push(question.detector.judge(&series));
                // Judged when the hour is over: on the row after it.
                rows_of.push((nth, ends.into_iter().map(|end| file.row_of(end)).collect()));
            }
        }
    }
    let in_unit = Scores::of(&answers);
    let mut own: Vec<Vec<usize>> = vec![Vec::new(); files.len()];
    let mut scores: Vec<Vec<Option<f64>>> =
        files.iter().map(|file| vec![None; file.times.len()]).collect();
    for (at, (nth, rows)) in rows_of.iter().enumerate() {
        let rows: &Vec<Option<usize>> = rows;
        for ((row, score), answer) in rows.iter().zip(&in_unit.of_series[at]).zip(&answers[at]) {
            let Some(row) = *row else { continue };
            scores[*nth][row] = score.or(scores[*nth][row]);
            if answer.alarm == Some(true) {
                own[*nth].push(row);
            }
        }
    }
    own.iter_mut().for_each(|rows| rows.sort_unstable());
    Rows { scores, own, in_unit }
}

impl Mentions {
    /// Ends, and counts, of the windows that end in this hour of the day.
    fn windows(&self, hours: usize, offset: usize) -> (Vec<usize>, Vec<Option<f64>>) {
        let length = self.hours.last().map_or(0, |last| last + 1);
        let mut by_hour = vec![0.0; length];
        for (hour, count) in self.hours.iter().zip(&self.counts) {
            by_hour[*hour] += count;
        }
        let ends = (offset..length).step_by(HOURS_A_DAY).filter(|end| *end >= hours);
        let ends: Vec<usize> = ends.collect();
        let count = |end: &usize| Some(by_hour[end - hours..*end].iter().sum());
        let series = ends.iter().map(count).collect();
        (ends, series)
    }

    fn row_of(&self, hour: usize) -> Option<usize> {
        let row = self.hours.partition_point(|at| *at < hour);
        (self.hours.get(row) == Some(&hour)).then_some(row)
    }

    /// Rows at the beginning that NAB doesn't score.
    fn probation(&self) -> usize {
        (0.15 * self.times.len() as f64).floor().min(750.0) as usize
    }

    fn is_labelled(&self, time: Micros) -> bool {
        self.labels.iter().any(|(from, to)| (*from..=*to).contains(&time))
    }
}

/// What alarms catch of the label windows.
#[derive(Default)]
struct Counted {
    labels: usize,
    /// Hours from a window's beginning.
    delays: Vec<f64>,
    /// An alarm outside of all windows, more than a day after the one that began the last false
    /// day.
    false_days: usize,
    weeks: f64,
}

fn counted(files: &[Mentions], rows: &[Vec<usize>]) -> Counted {
    let mut counted = Counted::default();
    for (file, rows) in files.iter().zip(rows) {
        let skip = file.probation();
        let at: Vec<Micros> =
            rows.iter().filter(|row| **row >= skip).map(|row| file.times[*row]).collect();
        let last = file.times[file.times.len() - 1];
        counted.weeks += (last - file.times[skip]) as f64 / WEEK as f64;
        counted.labels += file.labels.len();
        for (from, to) in &file.labels {
            let hit = at.iter().find(|time| (*from..=*to).contains(*time));
            counted.delays.extend(hit.map(|hit| (hit - from) as f64 / HOUR as f64));
        }
        let mut day = None;
        for time in at.into_iter().filter(|time| !file.is_labelled(*time)) {
            if day.is_none_or(|day| time - day > DAY) {
                day = Some(time);
                counted.false_days += 1;
            }
        }
    }
    counted
}

impl Counted {
    fn share(&self) -> f64 {
        self.delays.len() as f64 / self.labels as f64
    }

    fn rate(&self) -> f64 {
        self.false_days as f64 / self.weeks
    }
}

fn line(what: &str, files: &[Mentions], rows: &[Vec<usize>]) -> String {
    let found = counted(files, rows);
    let mut random = Random::new(7);
    let mut moved = |(file, rows): (&Mentions, &Vec<usize>)| {
        let skip = file.probation();
        let span = file.times.len() - skip;
        let by = random.between(span / 8, span - span / 8);
        let scored = rows.iter().filter(|row| **row >= skip);
        let mut moved: Vec<usize> = scored.map(|row| skip + (row - skip + by) % span).collect();
        moved.sort_unstable();
        moved
    };
    let mut chance = || {
        let moved: Vec<Vec<usize>> = files.iter().zip(rows).map(&mut moved).collect();
        counted(files, &moved).share()
    };
    format!(
        "  {what}: label windows caught {}/{} = {}, chance {}, median {} h after the window \
         begins; false days {} a series and week\n",
        found.delays.len(),
        found.labels,
        fixed(found.share(), 2),
        fixed(mean(&[(); 20].map(|()| chance())), 2),
        fixed(median(found.delays.clone()), 1),
        fixed(found.rate(), 2)
    )
}

fn at_rate(files: &[Mentions], rows: &Rows, rate: f64) -> String {
    let mut values: Vec<f64> =
        rows.scores.iter().flatten().copied().flatten().filter(|score| *score > 0.0).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let n = values.len() as f64;
    let mut ranks: Vec<usize> = (0..80)
        .map(|nth| (n * 10f64.powf(-4.0 + f64::from(nth) / 20.0)) as usize)
        .filter(|rank| *rank < values.len())
        .collect();
    ranks.dedup();
    let alarms = |threshold: f64| -> Vec<Vec<usize>> {
        rows.scores.iter().map(|of| steps_where(of, |score| score > threshold)).collect()
    };
    let best = ranks
        .into_iter()
        .map(|rank| (values[rank], alarms(values[rank])))
        .take_while(|(_, alarms)| counted(files, alarms).rate() <= rate)
        .last();
    let shown = general(rate, 6);
    match best {
        None => format!("    at {shown} false days a week: never\n"),
        Some((threshold, alarms)) => {
            let threshold = rows.in_unit.shown(threshold);
            line(&format!("  at {shown} false days a week ({threshold})"), files, &alarms)
        }
    }
}

/// NAB's sigmoid of a position relative to a window (Lavin and Ahmad 2015).
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// NAB's score, standard profile: 0 is nothing ever, 100 every window at once and nothing else;
/// threshold chosen on these files.
fn standard(files: &[Mentions], scores: &[Vec<f64>]) -> f64 {
    /// Score, worth of an alarm there, and number of the label window that it is in.
    type Point = (f64, f64, Option<usize>);
    let mut points: Vec<Point> = Vec::new();
    let mut labels = 0;
    for (file, scores) in files.iter().zip(scores) {
        let row = |time: Micros| file.times.binary_search(&time).unwrap_or_else(|row| row);
        let spans: Vec<(usize, usize)> =
            file.labels.iter().map(|(from, to)| (row(*from), row(*to))).collect();
        let mut before: Option<(usize, usize)> = None;
        for (at, score) in scores.iter().enumerate() {
            let inside = spans.iter().position(|(from, to)| (*from..=*to).contains(&at));
            let worth = match (inside.map(|label| spans[label]), before) {
                (Some((from, to)), _) => {
                    sigmoid(-((to - at + 1) as f64) / (to - from + 1) as f64) / sigmoid(-1.0)
                }
                (None, None) => -0.11,
                (None, Some((from, to))) => 0.11 * sigmoid((at - to) as f64 / (to - from) as f64),
            };
            if at >= file.probation() {
                points.push((*score, worth, inside.map(|label| labels + label)));
            }
            before = inside.map(|label| spans[label]).filter(|(_, to)| *to == at).or(before);
        }
        labels += spans.len();
    }
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n = labels as f64;
    let (mut best, mut false_worth) = (-n, 0.0);
    let mut hits: BTreeMap<usize, f64> = BTreeMap::new();
    for (at, (score, worth, label)) in points.iter().enumerate() {
        match label {
            None => false_worth += worth,
            Some(label) => {
                let hit = hits.entry(*label).or_insert(-1.0);
                *hit = hit.max(*worth);
            }
        }
        if points.get(at + 1).is_none_or(|next| next.0 != *score) {
            let missed = n - hits.len() as f64;
            best = f64::max(best, false_worth + hits.values().sum::<f64>() - missed);
        }
    }
    100.0 * (best + n) / (2.0 * n)
}
