//! Scores of a detector on real series with known epidemics: the tables of `score.py`.
//!
//! The series lie in a folder outside of this repository, with `score.py` and a README that defines
//! the words. For the same answers of a detector the text is that of `score.py`, to the digit: a
//! program test compares them. So draws, quantiles and roundings follow Python's (`python`).

mod bench;
mod calibration;
mod dengue;
mod japan;
mod measles;
mod nab;
mod python;

use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) use bench::episodes;
use flate2::read::GzDecoder;
use record::time::{Micros, parse_or_date};
use surveillance::detectors::{Judgement, Method, ParamError, Series, detect_series};

/// The parts, in the order in which they are printed.
pub const REAL: [&str; 4] = ["dengue", "measles", "japan", "nab"];
/// False episodes a series and year (of `nab`: false days a series and week) for comparisons.
const RATES: [f64; 3] = [0.25, 0.5, 1.0];
/// Classes of means, by step.
const BANDS: [(f64, f64); 5] =
    [(0.01, 0.05), (0.05, 0.2), (0.2, 1.0), (1.0, 5.0), (5.0, f64::INFINITY)];

/// A detector as `detect` takes it.
#[derive(Clone, Debug)]
pub struct Detector {
    pub(crate) name: String,
    pub(crate) params: Vec<(String, String)>,
    method: Method,
}

#[derive(Debug, thiserror::Error)]
pub enum RealError {
    #[error("failed to open `{}`", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("failed to read `{}`", path.display())]
    Csv { path: PathBuf, source: csv::Error },
    #[error("failed to read `{}`", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("`{}` has no column `{column}`", path.display())]
    MissingColumn { path: PathBuf, column: &'static str },
    #[error("`{}`: `{text}` is neither a number nor a time", path.display())]
    Unreadable { path: PathBuf, text: String },
    #[error("`{0}` is no date")]
    NoDate(String),
    #[error("`{}` has too few steps", path.display())]
    TooShort { path: PathBuf },
}

/// What is to be scored.
pub struct Question<'a> {
    pub folder: &'a Path,
    pub detector: &'a Detector,
    /// Another detector for the dengue series, compared epidemic by epidemic.
    pub against: Option<&'a Detector>,
    /// The first week of the dengue series that is scored.
    pub from: &'a str,
}

/// All parts of [`REAL`], or the named one.
pub fn real_tables(question: &Question, only: Option<&str>) -> Result<String, RealError> {
    let mut text = String::new();
    for part in REAL.into_iter().filter(|part| only.is_none_or(|only| only == *part)) {
        if only.is_none() {
            text.push_str(&format!("## {part}\n\n"));
        }
        text.push_str(&match part {
            "dengue" => dengue::table(question)?,
            "measles" => measles::table(question)?,
            "japan" => japan::table(question)?,
            _ => nab::table(question)?,
        });
        if only.is_none() {
            text.push('\n');
        }
    }
    Ok(text)
}

impl Detector {
    pub fn parse(name: &str, params: &[(String, String)]) -> Result<Detector, ParamError> {
        let method = Method::parse(name, params)?;
        Ok(Detector { name: name.to_owned(), params: params.to_vec(), method })
    }

    pub(crate) fn judge(&self, observed: &[Option<f64>]) -> Vec<Judgement> {
        let times: Vec<f64> = (0..observed.len()).map(|step| step as f64).collect();
        let series = Series { observed, times: Some(&times), ..Series::default() };
        detect_series(&self.method, &series)
    }

    /// The same, answering for the step of that number alone.
    fn of_step(&self, step: usize) -> Result<Detector, ParamError> {
        let number = step + 1;
        let range = ("range".to_owned(), format!("{number}:{number}"));
        Detector::parse(&self.name, &[&self.params[..], &[range]].concat())
    }

    /// Name and parameters, joined by this.
    pub(crate) fn title(&self, separator: &str) -> String {
        let params = self.params.iter().map(|(key, value)| format!("{separator}{key}={value}"));
        format!("{}{}", self.name, params.collect::<String>())
    }
}

/// Of each series and step how surprising it was; high is alarm.
pub(crate) struct Scores {
    pub(crate) of_series: Vec<Vec<Option<f64>>>,
    is_p: bool,
}

impl Scores {
    /// −log10 p where the method gives p, else its statistic.
    pub(crate) fn of(answers: &[Vec<Judgement>]) -> Scores {
        let is_p = answers.iter().flatten().any(|judgement| judgement.pvalue.is_some());
        let score = |judgement: &Judgement| match is_p {
            true => judgement.pvalue.map(|p| -p.max(1e-300).log10()),
            false => judgement.statistic,
        };
        let scores = |judgements: &Vec<Judgement>| judgements.iter().map(score).collect();
        Scores { of_series: answers.iter().map(scores).collect(), is_p }
    }

    /// A score in the method's unit.
    fn value(&self, score: f64) -> String {
        python::general(if self.is_p { 10f64.powf(-score) } else { score }, 3)
    }

    /// The same, named.
    fn shown(&self, score: f64) -> String {
        format!("{} {}", self.label(), self.value(score))
    }

    fn label(&self) -> &'static str {
        if self.is_p { "p" } else { "statistic" }
    }
}

/// Steps whose score passes.
pub(crate) fn steps_where(scores: &[Option<f64>], passes: impl Fn(f64) -> bool) -> Vec<usize> {
    let steps = scores.iter().enumerate();
    steps.filter(|(_, score)| score.is_some_and(&passes)).map(|(step, _)| step).collect()
}

/// Steps in alarm by the method's own threshold.
pub(crate) fn in_alarm(answer: &[Judgement]) -> Vec<usize> {
    let steps = answer.iter().enumerate();
    steps.filter(|(_, judgement)| judgement.alarm == Some(true)).map(|(step, _)| step).collect()
}

/// Named columns of a gzipped CSV file.
fn columns<const N: usize>(
    path: &Path,
    names: [&'static str; N],
) -> Result<Vec<[String; N]>, RealError> {
    let file =
        File::open(path).map_err(|source| RealError::Open { path: path.to_owned(), source })?;
    let failed = |source| RealError::Csv { path: path.to_owned(), source };
    let mut input = csv::Reader::from_reader(GzDecoder::new(file));
    let header = input.headers().map_err(failed)?.clone();
    let mut at = [0; N];
    for (at, column) in at.iter_mut().zip(names) {
        *at = header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| RealError::MissingColumn { path: path.to_owned(), column })?;
    }
    let field = |row: &csv::StringRecord| at.map(|at| row.get(at).unwrap_or_default().to_owned());
    input.records().map(|row| row.map(|row| field(&row)).map_err(failed)).collect()
}

fn number(path: &Path, text: &str) -> Result<i64, RealError> {
    let unreadable = || RealError::Unreadable { path: path.to_owned(), text: text.to_owned() };
    text.parse().map_err(|_| unreadable())
}

fn time(path: &Path, text: &str) -> Result<Micros, RealError> {
    let unreadable = || RealError::Unreadable { path: path.to_owned(), text: text.to_owned() };
    parse_or_date(&text.replace(' ', "T")).map_err(|_| unreadable())
}
