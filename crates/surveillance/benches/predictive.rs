//! What a judgement of the default detector costs, in CPU time and memory.
//!
//!     cargo bench --profile dist -p surveillance --bench predictive
//!
//! 400 topics of 250 regions, 100,000 series, one window each: what a topic's regions know together
//! is learnt once for a topic, as `watch` does, then every series is forecast and its bound, p and
//! detectable rise are computed.
//! Fails beyond its budgets, but with `-- --untimed`, as CI runs it on machines that are busy and
//! on code that checks itself.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark says what it measured, and stops at what it cannot read"
)]

mod cost;

use cost::cpu_seconds;
use simulation::{Random, log_uniform, negative_binomial};
use std::process::ExitCode;
use surveillance::forecast::forecast;
use surveillance::forecast::pool::{Topic, Window};

const TOPICS: usize = 400;
const REGIONS: usize = 250;
/// Regions that a topic is learnt from.
const ASKED: usize = 32;
const BASELINE: usize = 28;
/// What each may take.
const MICROS_MAX: f64 = 20.0;
const SECONDS_MAX: f64 = 3.0;
const MEGABYTES_MAX: f64 = 400.0;

fn main() -> ExitCode {
    let mut random = Random::new(1);
    let topics: Vec<Vec<(Vec<Window>, Window)>> =
        (0..TOPICS).map(|_| (0..REGIONS).map(|_| series(&mut random)).collect()).collect();
    let began = cpu_seconds();
    let (mut alarms, mut rises) = (0, 0.0);
    let mut held = Vec::new();
    for regions in &topics {
        let total: Vec<Window> =
            (0..BASELINE).map(|nth| sum(regions.iter().map(|(past, _)| past[nth]))).collect();
        let asked: Vec<&[Window]> =
            (0..ASKED).map(|nth| regions[nth * REGIONS / ASKED].0.as_slice()).collect();
        let learnt = Topic::learn(&total, &asked);
        for (past, now) in regions {
            let prepared = learnt.prepare(past, now, |_| (0.3, 0.5));
            let forecast = forecast(&prepared.past, &prepared.prior);
            let bound = forecast.bound(5e-4);
            let p = forecast.upper(now.observed);
            rises += forecast.detectable_rise(bound);
            alarms += u32::from(now.observed > bound);
            held.push((forecast.expected(), bound, p));
        }
    }
    let seconds = cpu_seconds() - began;
    let judged = (TOPICS * REGIONS) as f64;
    let micros = seconds * 1e6 / judged;
    let megabytes = peak_megabytes();
    println!(
        "{judged} series judged, {alarms} in alarm, mean detectable rise {:.1}",
        rises / judged
    );
    println!(
        "{seconds:.2} s of CPU ({SECONDS_MAX} allowed), {micros:.1} us a window ({MICROS_MAX} \
            allowed)"
    );
    println!("{megabytes:.0} MB at most ({MEGABYTES_MAX} allowed)");
    let is_within = std::env::args().any(|argument| argument == "--untimed")
        || micros <= MICROS_MAX && seconds <= SECONDS_MAX && megabytes <= MEGABYTES_MAX;
    if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Four weeks and the judged window of a region; means from 0.05 to 200 a day, most of them small,
/// as hashtags' are.
fn series(random: &mut Random) -> (Vec<Window>, Window) {
    let mean = log_uniform(random, 0.05, 200.0) * random.unit();
    let mut window = |age: f64| {
        let population = negative_binomial(random, 1_000.0 * mean + 2_000.0, 200.0) as f64;
        let observed = negative_binomial(random, mean, 5.0) as f64;
        Window { observed, population: Some(population), share: 1.0, day: 700 - age as i64, age }
    };
    let now = window(0.0);
    ((0..BASELINE).map(|nth| window(2.0 + nth as f64)).collect(), now)
}

fn sum(windows: impl Iterator<Item = Window>) -> Window {
    windows
        .reduce(|sum, window| Window {
            observed: sum.observed + window.observed,
            population: sum.population.zip(window.population).map(|(sum, more)| sum + more),
            ..sum
        })
        .unwrap()
}

/// The most that this process has held; 0 where that isn't told.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes / 1024.0)
}
