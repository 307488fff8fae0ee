//! `detect`: judges series of counts from CSV, or finds clusters among places.

use std::collections::BTreeMap;
use std::io::{Read, Write, stderr, stdin, stdout};
use std::path::Path;

use anyhow::{Context, anyhow};
use surveillance::detectors::space::{Cell, Cluster, Place, SpaceMethod};
use surveillance::detectors::{
    DEFAULT, Judgement, Method, ParamError, Reason, Series, detect_series,
};

use super::{Failure, quoted};
use crate::cli::Detect;

/// The columns that must be there, and those that may.
const COLUMNS: [&str; 5] = ["series", "time", "observed", "population", "expected"];
const JUDGEMENTS: &str = "series,time,observed,expected,upperbound,alarm,pvalue,reason,statistic";
const CLUSTERS: &str = "cluster,places,first,last,observed,expected,alarm,pvalue,reason,statistic";

/// A row of the input, its texts as written.
#[derive(Debug)]
struct Row {
    series: usize,
    time: String,
    written: String,
    observed: Option<f64>,
    population: Option<f64>,
    expected: Option<f64>,
}

/// Series by name in the order in which they first appear, and their rows.
#[derive(Debug, Default)]
struct Input {
    names: Vec<String>,
    rows: Vec<Row>,
}

pub(crate) fn run(args: &Detect) -> Result<(), Failure> {
    let mut params = args
        .params
        .iter()
        .map(|param| match param.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Failure::usage(
                format!("`--param {param}` has no `=`"),
                "write `--param KEY=VALUE`",
            )),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(every) = &args.every {
        params.push(("every".to_owned(), every.clone()));
    }
    let name = args.method.as_deref().unwrap_or(DEFAULT);
    let is_of_space = SpaceMethod::NAMES.contains(&name);
    match (&args.places, is_of_space) {
        (None, false) => {
            let method = Method::parse(name, &params).map_err(refused)?;
            let is_spaced = args.method.is_none() && !params.iter().any(|(key, _)| key == "every");
            let input = read()?;
            let method_of = |times: Option<&[f64]>| match times.filter(|_| is_spaced) {
                Some(times) => spaced(name, &params, times),
                None => Ok(method.clone()),
            };
            judge_series(method_of, &input)
        }
        (Some(_), false) => {
            Method::parse(name, &params).map_err(refused)?;
            let hint = format!("`--places` is for `{}`", SpaceMethod::NAMES.join("`, `"));
            Err(Failure::usage(format!("method `{name}` uses each series separately"), hint))
        }
        (None, true) => {
            let hint = "give a CSV file with the columns `series,x,y` or `series,lon,lat`: \
                `--places places.csv`";
            Err(Failure::usage(
                format!("method `{name}` needs the coordinates of each series"),
                hint,
            ))
        }
        (Some(file), true) => {
            let (places, by_degrees) = read_places(file)?;
            if by_degrees && !params.iter().any(|(key, _)| key == "distance") {
                params.push(("distance".to_owned(), "great-circle".to_owned()));
            }
            let method = SpaceMethod::parse(name, &params).map_err(refused)?;
            let input = read()?;
            let place = |name: &String| {
                places
                    .get(name)
                    .copied()
                    .ok_or_else(|| anyhow!("series `{name}` is not in `{}`", file.display()))
            };
            let places = input.names.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?;
            judge_places(&method, &input, &places)
        }
    }
}

fn refused(error: ParamError) -> Failure {
    Failure::usage(error.to_string(), String::new())
}

/// Names of the spacings that the default method knows, and between how many days they lie.
const SPACINGS: [(&str, std::ops::Range<f64>); 4] =
    [("hour", 0.03..0.06), ("6h", 0.2..0.3), ("day", 0.7..3.5), ("week", 3.5..40.0)];

/// The default method for the usual distance between dates.
fn spaced(name: &str, params: &[(String, String)], times: &[f64]) -> Result<Method, Failure> {
    let mut gaps: Vec<f64> =
        times.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.0).collect();
    gaps.sort_by(f64::total_cmp);
    let Some(usual) = gaps.get(gaps.len() / 2) else {
        return Method::parse(name, params).map_err(refused);
    };
    let Some((every, _)) = SPACINGS.iter().find(|(_, days)| days.contains(usual)) else {
        let message = format!("times of a series are {usual:.4} days apart");
        return Err(Failure::usage(
            message,
            "sum them to hours, days or weeks, or give `--every hour|6h|day|week`",
        ));
    };
    let every = [("every".to_owned(), (*every).to_owned())];
    Method::parse(name, &[params, &every].concat()).map_err(refused)
}

fn judge_series(
    method_of: impl Fn(Option<&[f64]>) -> Result<Method, Failure>,
    input: &Input,
) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(stdout().lock());
    out.write_record(JUDGEMENTS.split(','))?;
    let mut of_series: Vec<Vec<&Row>> = input.names.iter().map(|_| Vec::new()).collect();
    input.rows.iter().for_each(|row| of_series[row.series].push(row));
    for rows in &of_series {
        let days: Option<Vec<i64>> = rows.iter().map(|row| days(&row.time)).collect();
        let times: Option<Vec<f64>> = rows.iter().map(|row| moment(&row.time)).collect();
        let observed: Vec<Option<f64>> = rows.iter().map(|row| row.observed).collect();
        let population: Vec<Option<f64>> = rows.iter().map(|row| row.population).collect();
        let population = population.iter().any(Option::is_some).then_some(population.as_slice());
        let is_dated = rows.iter().all(|row| date_or_hour(&row.time).is_some());
        let method = method_of(times.as_deref().filter(|_| is_dated))?;
        let judged = detect_series(
            &method,
            &Series {
                observed: &observed,
                population,
                days: days.as_deref(),
                times: times.as_deref(),
            },
        );
        for (row, judgement) in rows.iter().zip(judged) {
            write_judgement(&mut out, &input.names[row.series], row, &judgement)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn judge_places(method: &SpaceMethod, input: &Input, places: &[Place]) -> Result<(), Failure> {
    let cell = |row: &Row| Cell {
        place: row.series,
        // A time that cannot be read is after none.
        time: moment(&row.time).unwrap_or(f64::NAN),
        observed: row.observed,
        population: row.population,
        expected: row.expected,
    };
    let cells: Vec<Cell> = input.rows.iter().map(cell).collect();
    let mut out = csv::Writer::from_writer(stdout().lock());
    match method {
        SpaceMethod::Stcd(stcd) => {
            let answer = stcd.judge(places, &cells);
            out.write_record(JUDGEMENTS.split(','))?;
            for (row, judgement) in input.rows.iter().zip(&answer.judgements) {
                write_judgement(&mut out, &input.names[row.series], row, judgement)?;
            }
            out.flush()?;
            if let Some((first, centre)) = answer.first {
                let [first, centre] = [first, centre].map(|index| &input.rows[index]);
                let (at, of) = (&input.names[centre.series], &input.names[first.series]);
                writeln!(
                    stderr(),
                    "first alarm: series `{of}` at {}; its cluster begins with series `{at}` at {}",
                    first.time,
                    centre.time
                )?;
            }
        }
        SpaceMethod::Scan(scan) => {
            let found = scan.clusters(places, &cells);
            out.write_record(CLUSTERS.split(','))?;
            match found {
                Err(reason) => {
                    let mut none = [""; 10].map(str::to_owned);
                    none[8] = reason.to_string();
                    // That all is as expected is an answer; everything else is none.
                    none[6] =
                        if reason == Reason::NoExcess { "0".to_owned() } else { String::new() };
                    out.write_record(none)?;
                }
                Ok(clusters) => {
                    for (rank, cluster) in (1..).zip(&clusters) {
                        write_cluster(&mut out, rank, input, cluster)?;
                    }
                }
            }
            out.flush()?;
        }
    }
    Ok(())
}

fn text(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn flag(alarm: Option<bool>) -> &'static str {
    alarm.map_or("", |alarm| if alarm { "1" } else { "0" })
}

fn write_judgement(
    out: &mut csv::Writer<impl Write>,
    series: &str,
    row: &Row,
    judgement: &Judgement,
) -> Result<(), Failure> {
    let reason = judgement.reason.map_or(String::new(), |reason| reason.to_string());
    out.write_record([
        series,
        &row.time,
        &row.written,
        &text(judgement.expected),
        &text(judgement.upperbound),
        flag(judgement.alarm),
        &text(judgement.pvalue),
        &reason,
        &text(judgement.statistic),
    ])?;
    Ok(())
}

fn write_cluster(
    out: &mut csv::Writer<impl Write>,
    rank: usize,
    input: &Input,
    cluster: &Cluster,
) -> Result<(), Failure> {
    let names: Vec<&str> =
        cluster.places.iter().map(|place| input.names[*place].as_str()).collect();
    // A time as it was written, for dates are not numbers.
    let written = |time: f64| {
        input
            .rows
            .iter()
            .find(|row| moment(&row.time) == Some(time))
            .map_or("", |row| row.time.as_str())
    };
    let reason = cluster.reason.map_or(String::new(), |reason| reason.to_string());
    out.write_record([
        &rank.to_string(),
        &names.join(";"),
        written(cluster.span.0),
        written(cluster.span.1),
        &cluster.observed.to_string(),
        &cluster.expected.to_string(),
        flag(cluster.alarm),
        &text(cluster.pvalue),
        &reason,
        &cluster.statistic.to_string(),
    ])?;
    Ok(())
}

fn read() -> Result<Input, Failure> {
    let mut text = Vec::new();
    stdin().lock().read_to_end(&mut text).context("failed to read standard input")?;
    let mut input = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
    let header = input.headers().context("failed to read the header of standard input")?.clone();
    let column = |name: &str| header.iter().position(|column| column.trim() == name);
    let [Some(series), Some(time), Some(observed), population, expected] = COLUMNS.map(column)
    else {
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(Failure::usage(
            format!("the header `{found}` lacks a column"),
            "columns are `series,time,observed[,population]`",
        ));
    };
    let mut read = Input::default();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for row in input.records() {
        let row = row.map_err(|error| {
            let line = line_of(&text, error.position());
            anyhow::Error::from(error)
                .context(format!("failed to read line {line} of standard input"))
        })?;
        let line = || line_of(&text, row.position());
        let field = |at: usize| {
            row.get(at).map(str::trim).ok_or_else(|| {
                let column = header.get(at).unwrap_or_default().trim();
                anyhow!("line {} of standard input has no field `{column}`", line())
            })
        };
        let optional = |at: Option<usize>, column: &str| match at {
            Some(at) => number(row.get(at).unwrap_or("").trim(), column, line),
            None => Ok(None),
        };
        let written = field(time)?;
        if moment(written).is_none() {
            let message = format!(
                "line {} of standard input: `{}` in column `time` is neither a date nor a number",
                line(),
                quoted(written)
            );
            let hint = "write dates as 2026-01-05, oldest first in each series";
            return Err(Failure::usage(message, hint));
        }
        let name = field(series)?;
        let index = *known.entry(name.to_owned()).or_insert(read.names.len());
        if index == read.names.len() {
            read.names.push(name.to_owned());
        }
        read.rows.push(Row {
            series: index,
            time: written.to_owned(),
            written: field(observed)?.to_owned(),
            observed: number(field(observed)?, "observed", line)?,
            population: optional(population, "population")?,
            expected: optional(expected, "expected")?,
        });
    }
    Ok(read)
}

/// Where each series is, and whether by longitude and latitude.
fn read_places(file: &Path) -> Result<(BTreeMap<String, Place>, bool), Failure> {
    let shown = file.display();
    let text = std::fs::read(file).with_context(|| format!("failed to open `{shown}`"))?;
    let mut input = csv::ReaderBuilder::new().from_reader(text.as_slice());
    let header =
        input.headers().with_context(|| format!("failed to read the header of `{shown}`"))?.clone();
    let column = |names: &[&str]| header.iter().position(|column| names.contains(&column.trim()));
    let degrees = (column(&["lon", "longitude"]), column(&["lat", "latitude"]));
    let (series, x, y, by_degrees) =
        match (column(&["series"]), column(&["x"]), column(&["y"]), degrees) {
            (Some(series), Some(x), Some(y), _) => (series, x, y, false),
            (Some(series), _, _, (Some(x), Some(y))) => (series, x, y, true),
            _ => {
                let found = header.iter().collect::<Vec<_>>().join(",");
                let hint = "columns are `series,x,y`, or `series,lon,lat` in degrees";
                return Err(Failure::usage(
                    format!("the header `{found}` of `{shown}` lacks a column"),
                    hint,
                ));
            }
        };
    let mut places = BTreeMap::new();
    for row in input.records() {
        let row = row.map_err(|error| {
            let line = line_of(&text, error.position());
            anyhow::Error::from(error).context(format!("failed to read line {line} of `{shown}`"))
        })?;
        let line = || line_of(&text, row.position());
        let coordinate = |at: usize| -> anyhow::Result<f64> {
            let text = row.get(at).unwrap_or("").trim();
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            value.ok_or_else(|| {
                anyhow!("line {} of `{shown}`: `{}` is not a number", line(), quoted(text))
            })
        };
        let place = Place { x: coordinate(x)?, y: coordinate(y)? };
        if by_degrees && !((-180.0..=180.0).contains(&place.x) && (-90.0..=90.0).contains(&place.y))
        {
            return Err(anyhow!(
                "line {} of `{shown}`: {},{} is not a longitude and a latitude",
                line(),
                place.x,
                place.y
            )
            .into());
        }
        let name = row.get(series).unwrap_or("").trim();
        if places.insert(name.to_owned(), place).is_some() {
            return Err(anyhow!(
                "line {} of `{shown}`: series `{}` occurs twice",
                line(),
                quoted(name)
            )
            .into());
        }
    }
    Ok((places, by_degrees))
}

/// Empty and `NA` are missing; what is a number but no count is left to the method to refuse.
fn number(text: &str, column: &str, line: impl Fn() -> u64) -> Result<Option<f64>, Failure> {
    match text {
        "" | "NA" => Ok(None),
        _ => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => {
                let (line, text) = (line(), quoted(text));
                Err(anyhow!(
                    "line {line} of standard input: `{text}` in column `{column}` is \
                        not a number"
                )
                .into())
            }
        },
    }
}

/// The line of a record, as an editor shows it.
fn line_of(text: &[u8], position: Option<&csv::Position>) -> u64 {
    let byte = position.map_or(0, csv::Position::byte);
    record::lines::line_at(text, usize::try_from(byte).unwrap_or(usize::MAX))
}

/// Days since 1970-01-01, where a time is a date; of any year, since old series are judged, too.
fn days(time: &str) -> Option<i64> {
    lexicon::Date::parse(time).filter(|_| time.len() == 10)?;
    let mut parts = time.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    // Years begin in March, so that a leap day ends one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
            - 719_468,
    )
}

/// A date, or a date with a time of day such as `2026-01-05T13:00`, in days.
fn date_or_hour(time: &str) -> Option<f64> {
    let Some((date, clock)) = time.split_once(['T', ' ']) else {
        return days(time).map(|day| day as f64);
    };
    let parts: Option<Vec<u32>> =
        clock.trim_end_matches('Z').split(':').map(|part| part.parse().ok()).collect();
    let (hour, minute, second) = match parts?.as_slice() {
        [hour] => (*hour, 0, 0),
        [hour, minute] => (*hour, *minute, 0),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let is_clock = hour < 24 && minute < 60 && second < 60;
    let seconds = f64::from(hour * 3_600 + minute * 60 + second);
    is_clock.then_some(days(date)? as f64 + seconds / 86_400.0)
}

/// A time as a number that grows with it: a date in days, or the number itself.
fn moment(time: &str) -> Option<f64> {
    date_or_hour(time).or_else(|| time.parse::<f64>().ok().filter(|value| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::{date_or_hour, days};

    #[test]
    fn dates_are_days_of_any_year() {
        for (date, number) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2026-01-05", 20_458),
            ("1854-08-31", -42_126),
        ] {
            assert_eq!(days(date), Some(number), "{date}");
        }
        assert_eq!(date_or_hour("1970-01-02T06:00"), Some(1.25));
        assert_eq!(date_or_hour("1970-01-02 12:30:00Z"), Some(1.0 + 12.5 / 24.0));
        for wrong in ["1970-01-02T", "1970-01-02T25", "1970-01-02T1:2:3:4", "T12", "5"] {
            assert_eq!(date_or_hour(wrong), None, "{wrong}");
        }
        for wrong in
            ["1/5/2026", "05.01.2026", "2026-1-5", "2026-02-30", "2026-W02", "20260105", ""]
        {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
