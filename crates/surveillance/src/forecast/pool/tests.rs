use super::*;
use crate::detectors::predictive::judge_by;
use proptest::prelude::*;
use simulation::panels::{Generator, PanelSpec, panel};

/// Four weeks of eighteen regions with these means.
fn pasts(generator: Generator, seed: u64) -> Vec<Vec<Past>> {
    let means = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0].repeat(3);
    let spec = PanelSpec { days: 28, generator, means, growth_per_week: 0.0, outbreak: None };
    let of_track = |track: &simulation::panels::Track| -> Vec<Past> {
        let days = track
            .counts
            .chunks(24)
            .map(|hours| hours.iter().map(|count| f64::from(*count)).sum::<f64>());
        let season = simulation::panels::WEEKDAYS.iter().cycle();
        let window = |(day, (observed, exposure)): (usize, (f64, &f64))| Past {
            observed,
            exposure: *exposure,
            age: 30.0 - day as f64,
        };
        let mut past: Vec<Past> = days.zip(season).enumerate().map(window).collect();
        past.reverse();
        past
    };
    panel(&spec, seed).regions.iter().map(of_track).collect()
}

fn learn(generator: Generator) -> Vec<Pool> {
    (0..8).map(|seed| Pool::learn(Season::FLAT, &pasts(generator, seed))).collect()
}

fn mean(pools: &[Pool], of: impl Fn(&Pool) -> f64) -> f64 {
    pools.iter().map(of).sum::<f64>() / pools.len() as f64
}

/// The likeliest size of a window with this mean count.
fn likeliest(pool: &Pool, mean: f64) -> f64 {
    let (weights, shift) = pool.spread.sizes(mean);
    let best = (0..SIZES.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b])).unwrap();
    SIZES[best] * shift
}

#[test]
fn common_ups_and_downs_are_told_from_clumps() {
    let sized = learn(Generator::NegativeBinomial { size: 4.0 });
    let clumped = learn(Generator::Cascades { follow: 0.5 });
    assert!(mean(&sized, |pool| pool.spread.clumped) < 0.2);
    assert!(mean(&clumped, |pool| pool.spread.clumped) > 0.8);
    for pool in &sized {
        let size = likeliest(pool, 50.0);
        assert!((2.0..8.0).contains(&size), "{size}");
    }
    for pool in &clumped {
        // Each post brings another one: variance about three times the mean, at any mean.
        for mean in [0.5, 50.0] {
            let clumping = mean / likeliest(pool, mean);
            assert!((0.8..5.0).contains(&clumping), "{mean}: {clumping}");
        }
    }
    for pool in learn(Generator::Poisson) {
        assert!(likeliest(&pool, 100.0) > 400.0);
    }
}

#[test]
fn waves_make_windows_alike_and_days_of_their_own_do_not() {
    assert!(
        mean(&learn(Generator::LognormalWaves { sd: 0.4, days: 2.0 }), |pool| pool.correlation)
            > 0.5
    );
    assert!(mean(&learn(Generator::NegativeBinomial { size: 4.0 }), |pool| pool.correlation) < 0.2);
}

#[test]
fn what_regions_know_together_is_the_same_in_windows_and_in_posts() {
    for generator in [
        Generator::NegativeBinomial { size: 2.0 },
        Generator::LognormalWaves { sd: 0.4, days: 2.0 },
    ] {
        let windows = pasts(generator, 3);
        let in_posts = |past: &Vec<Past>| {
            past.iter().map(|window| Past { exposure: 2e5 * window.exposure, ..*window }).collect()
        };
        let (by_window, by_post) = (
            Pool::learn(Season::FLAT, &windows),
            Pool::learn(Season::FLAT, &windows.iter().map(in_posts).collect::<Vec<_>>()),
        );
        assert!(
            (by_window.correlation - by_post.correlation).abs() < 0.01,
            "{} {}",
            by_window.correlation,
            by_post.correlation
        );
        assert!((by_window.trend_variance / by_post.trend_variance - 1.0).abs() < 0.05);
        assert!((likeliest(&by_window, 10.0) / likeliest(&by_post, 10.0) - 1.0).abs() < 0.05);
    }
}

#[test]
fn trends_that_differ_are_told_from_those_that_do_not() {
    let season = Season { trend_variance: 1e-6, ..Season::FLAT };
    let grown = |nth: usize, past: Vec<Past>, each: f64| -> Vec<Past> {
        let growth = if nth.is_multiple_of(2) { each } else { -each };
        past.into_iter()
            .map(|window| Past {
                observed: (window.observed * (growth * (16.0 - window.age)).exp()).round(),
                ..window
            })
            .collect()
    };
    let learnt = |each: f64| {
        let pools: Vec<Pool> = (0..8)
            .map(|seed| {
                let regions = pasts(Generator::Poisson, seed)
                    .into_iter()
                    .enumerate()
                    .map(|(nth, past)| grown(nth, past, each));
                Pool::learn(season, &regions.collect::<Vec<_>>())
            })
            .collect();
        mean(&pools, |pool| pool.trend_variance).sqrt()
    };
    let (alike, apart) = (learnt(0.0), learnt(0.012));
    assert!(alike < 0.004 && (0.007..0.02).contains(&apart), "{alike} {apart}");
}

#[test]
fn weekdays_are_as_far_apart_as_they_are_seen_to_be() {
    let learnt = |each: f64, weekend: f64| {
        let window = |nth: i64| {
            let day = 700 - nth;
            let observed = if day.rem_euclid(7) >= 5 { each * weekend } else { each };
            (Past { observed: observed.round(), exposure: 1.0, age: (2 + nth) as f64 }, day)
        };
        Season::learn(&(0..28).map(window).collect::<Vec<_>>())
    };
    let (flat, steep, unsure) = (learnt(1_000.0, 1.0), learnt(1_000.0, 0.5), learnt(3.0, 1.0));
    assert!(
        (0..7).all(|day| (flat.factor(day) - 1.0).abs() < 0.005) && flat.variance() < 5e-4,
        "{flat:?}"
    );
    assert!((steep.relative(5, 2) - 0.5).abs() < 0.05 && steep.variance() < 0.01, "{steep:?}");
    assert!(unsure.variance() > 10.0 * flat.variance(), "{unsure:?}");
}

#[test]
fn a_window_is_exceeded_as_often_as_draws_exceed_it() {
    let prior = Prior::default();
    let past: Vec<Past> = (0..28)
        .map(|day| Past {
            observed: f64::from(day * 5 % 7),
            exposure: 1.0,
            age: 2.0 + f64::from(day),
        })
        .collect();
    let forecast = forecast(&past, &prior);
    let mut random = simulation::Random::new(4);
    for (mean, size) in [(3.0, f64::INFINITY), (4.0, 2.0), (9.0, 5.0)] {
        let draws = 60_000;
        let mut hits = 0;
        for _ in 0..draws {
            let count = if size.is_finite() {
                simulation::negative_binomial(&mut random, mean, size)
            } else {
                simulation::poisson(&mut random, mean)
            };
            hits += u32::from(forecast.randomised(count as f64, random.unit()) <= 0.02);
        }
        let (found, due) =
            (f64::from(hits) / f64::from(draws), forecast.exceeded(0.02, mean, size));
        assert!(
            (found - due).abs() < 5.0 * (due / f64::from(draws)).sqrt(),
            "{mean} {size}: {found} {due}"
        );
    }
}

fn any_window() -> impl Strategy<Value = (f64, Option<f64>)> {
    let count = prop_oneof![4 => (0..30_u32).prop_map(f64::from), 2 => Just(0.0), 1 => Just(1e9), 1 => Just(1e15)];
    let population = prop_oneof![3 => (0..5_000_u32).prop_map(f64::from), 1 => Just(1e15)];
    (count, proptest::option::of(population))
}

proptest! {
    /// Whatever a topic's regions have seen, what is forecast are numbers, and p is a probability
    /// that falls with the count.
    #[test]
    fn any_topic_gives_numbers(
        regions in proptest::collection::vec(proptest::collection::vec(any_window(), 0..30), 0..9),
        now in any_window(),
    ) {
        let windows = |past: &Vec<(f64, Option<f64>)>| -> Vec<Window> {
            let window = |(nth, (observed, population)): (usize, &(f64, Option<f64>))| {
                Window { observed: *observed, population: *population, share: 1.0, day: 500 - nth as i64, age: 2.0 + nth as f64 }
            };
            past.iter().enumerate().map(window).collect()
        };
        let regions: Vec<Vec<Window>> = regions.iter().map(windows).collect();
        let slices: Vec<&[Window]> = regions.iter().map(Vec::as_slice).collect();
        let topic = Topic::learn(regions.first().map_or(&[][..], Vec::as_slice), &slices);
        let now = Window { observed: now.0, population: now.1, share: 1.0, day: 502, age: 0.0 };
        for region in &regions {
            let prepared = topic.prepare(region, &now, |_| (0.3, 0.5));
            let forecast = forecast(&prepared.past, &prepared.prior);
            let judged = judge_by(&forecast, Some(now.observed), 5e-4);
            let (expected, bound, p) = (judged.expected.unwrap(), judged.upperbound.unwrap(), judged.pvalue.unwrap());
            prop_assert!(expected.is_finite() && bound.is_finite() && (0.0..=1.0).contains(&p), "{judged:?}");
            prop_assert!(forecast.upper(now.observed + 1.0) <= p + 1e-12);
            let (low, high) = forecast.interval();
            prop_assert!(low.is_finite() && high.is_finite() && low <= high);
            prop_assert!(forecast.detectable_rise(bound).is_finite());
        }
    }
}
