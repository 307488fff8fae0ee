//! The samplers against their moments, the scans against a search that knows no shortcut, and bad
//! input.

use super::random::Random;
use super::*;
use crate::detectors::Judgement;
use proptest::prelude::*;

fn method(name: &str, params: &[(&str, &str)]) -> SpaceMethod {
    let params: Vec<(String, String)> =
        params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpaceMethod::parse(name, &params).unwrap()
}

fn scan(name: &str, params: &[(&str, &str)]) -> Scan {
    match method(name, params) {
        SpaceMethod::Scan(scan) => scan,
        SpaceMethod::Stcd(_) => panic!("{name} is no scan"),
    }
}

fn stcd(params: &[(&str, &str)]) -> Stcd {
    match method("stcd", params) {
        SpaceMethod::Stcd(stcd) => stcd,
        SpaceMethod::Scan(_) => panic!("stcd is no scan"),
    }
}

fn cell(place: usize, time: f64, observed: f64) -> Cell {
    Cell { place, time, observed: Some(observed), population: Some(1000.0), expected: None }
}

const SCANS: [&str; 3] =
    ["space-time-permutation", "prospective-poisson", "expectation-based-poisson"];

#[test]
fn samplers_have_the_moments_of_their_laws() {
    const DRAWS: usize = 40_000;
    let mut random = Random::new(7);
    let mut check =
        |what: &str, mean: f64, variance: f64, draw: &mut dyn FnMut(&mut Random) -> f64| {
            let values: Vec<f64> = (0..DRAWS).map(|_| draw(&mut random)).collect();
            let average = values.iter().sum::<f64>() / DRAWS as f64;
            let spread = values.iter().map(|value| (value - average).powi(2)).sum::<f64>()
                / (DRAWS - 1) as f64;
            let error = (variance / DRAWS as f64).sqrt();
            assert!((average - mean).abs() < 5.0 * error, "{what}: mean {average}, not {mean}");
            assert!(
                (spread / variance - 1.0).abs() < 0.08,
                "{what}: variance {spread}, not {variance}"
            );
        };
    check("uniform", 0.5, 1.0 / 12.0, &mut Random::uniform);
    for mean in [0.3, 5.0, 23.9, 24.1, 130.0, 1e6] {
        check(&format!("poisson {mean}"), mean, mean, &mut |random| random.poisson(mean));
        check(&format!("negative binomial {mean}"), mean, 3.0 * mean, &mut |random| {
            random.negative_binomial(mean, 3.0)
        });
    }
    for (trials, share) in [(10.0, 0.2), (25.0, 0.5), (1000.0, 0.01), (1e6, 0.7)] {
        let what = format!("binomial {trials} {share}");
        check(&what, trials * share, trials * share * (1.0 - share), &mut |random| {
            random.binomial(trials, share)
        });
    }
    for shape in [0.4, 1.0, 7.5] {
        check(&format!("gamma {shape}"), shape, shape, &mut |random| random.gamma(shape));
    }
    let mut seen = [0_u32; 6];
    (0..60_000).for_each(|_| seen[random.below(6)] += 1);
    assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
}

#[test]
fn great_circles_are_as_long_as_the_earth_is_round() {
    let (berlin, paris) = (Place { x: 13.405, y: 52.52 }, Place { x: 2.3522, y: 48.8566 });
    let distance = Distance::GreatCircle.between(berlin, paris);
    assert!((distance - 877.46).abs() < 0.1, "{distance}");
    let antipodes =
        Distance::GreatCircle.between(Place { x: 0.0, y: 90.0 }, Place { x: 0.0, y: -90.0 });
    assert!((antipodes - std::f64::consts::PI * EARTH_KM).abs() < 1e-6);
}

/// Ten places in a row, 12 steps; in the last three, places 3 and 4 have five times as many cases.
fn an_outbreak() -> (Vec<Place>, Vec<Cell>) {
    let places: Vec<Place> = (0..10).map(|x| Place { x: f64::from(x), y: 0.0 }).collect();
    let cells = (0..10)
        .flat_map(|place| (0..12).map(move |step| (place, step)))
        .map(|(place, step)| {
            let usual = f64::from((place * 5 + step * 3) % 4 + 1);
            let struck = step >= 9 && (place == 3 || place == 4);
            cell(place as usize, f64::from(step), if struck { usual * 5.0 } else { usual })
        })
        .collect();
    (places, cells)
}

#[test]
fn every_scan_finds_the_outbreak() {
    let (places, cells) = an_outbreak();
    for name in SCANS {
        let first =
            scan(name, &[("duration-max", "5")]).clusters(&places, &cells).unwrap()[0].clone();
        assert_eq!(
            (first.places.as_slice(), first.span),
            (&[3, 4][..], (9.0, 11.0)),
            "{name}: {first:?}"
        );
        assert_eq!((first.pvalue, first.alarm), (Some(0.001), Some(true)), "{name}");
        let apart = scan(name, &[("overlap", "false"), ("replicates", "0")])
            .clusters(&places, &cells)
            .unwrap();
        let mut of_all: Vec<usize> =
            apart.iter().flat_map(|cluster| cluster.places.clone()).collect();
        of_all.sort_unstable();
        assert!(of_all.windows(2).all(|pair| pair[0] != pair[1]), "clusters share a place");
    }
}

#[test]
fn the_same_seed_gives_the_same_p() {
    let (places, mut cells) = an_outbreak();
    cells
        .iter_mut()
        .for_each(|cell| cell.observed = cell.observed.map(|count| (count / 3.0).ceil()));
    for name in SCANS {
        let with = |seed: &str| {
            scan(name, &[("seed", seed), ("replicates", "199")]).clusters(&places, &cells).unwrap()
        };
        assert_eq!(with("5"), with("5"));
    }
}

/// Under the null a p at most α comes with probability α: all scans, cases that have no cluster.
#[test]
fn p_is_uniform_where_there_is_nothing() {
    const RUNS: usize = 200;
    let mut random = Random::new(99);
    let places: Vec<Place> =
        (0..9).map(|index| Place { x: f64::from(index % 3), y: f64::from(index / 3) }).collect();
    for name in SCANS {
        let mut low = 0;
        for run in 0..RUNS {
            let cells: Vec<Cell> = (0..9)
                .flat_map(|place| (0..6).map(move |step| (place, step)))
                .map(|(place, step)| Cell {
                    expected: Some(4.0),
                    ..cell(place, f64::from(step), random.poisson(4.0))
                })
                .collect();
            let seed = run.to_string();
            let params = [
                ("replicates", "99"),
                ("seed", seed.as_str()),
                ("neighbours", "4"),
                ("range", "1:6"),
            ];
            let p = scan(name, &params)
                .clusters(&places, &cells)
                .map_or(1.0, |clusters| clusters[0].pvalue.unwrap());
            low += usize::from(p <= 0.2);
        }
        // 40 are expected; five standard deviations.
        assert!((12..=68).contains(&low), "{name}: {low} of {RUNS} at most 0.2");
    }
}

#[test]
fn bad_input_has_its_reason() {
    let (places, cells) = an_outbreak();
    let with = |at: usize, change: &dyn Fn(&mut Cell)| {
        let mut cells = cells.clone();
        change(&mut cells[at]);
        cells
    };
    for name in SCANS {
        let reason =
            |cells: &[Cell]| scan(name, &[("replicates", "9")]).clusters(&places, cells).err();
        assert_eq!(reason(&[]), Some(Reason::BaselineTooShort));
        assert_eq!(
            reason(&with(11, &|cell| cell.observed = Some(-1.0))),
            Some(Reason::NegativeCount)
        );
        assert_eq!(
            reason(&with(11, &|cell| cell.observed = Some(f64::NAN))),
            Some(Reason::NotFinite)
        );
        assert_eq!(reason(&with(11, &|cell| cell.observed = None)), Some(Reason::MissingValue));
        assert_eq!(reason(&with(11, &|cell| cell.time = 3.0)), Some(Reason::TimeNotIncreasing));
        assert_eq!(
            reason(&with(11, &|cell| cell.time = f64::NAN)),
            Some(Reason::TimeNotIncreasing)
        );
        assert_eq!(reason(&with(11, &|cell| cell.place = 99)), Some(Reason::MissingValue));
        let zeros: Vec<Cell> =
            cells.iter().map(|cell| Cell { observed: Some(0.0), ..*cell }).collect();
        assert!(
            matches!(reason(&zeros), Some(Reason::NoExcess | Reason::ZeroExpected)),
            "{name} {:?}",
            reason(&zeros)
        );
        let nowhere = [Place { x: f64::NAN, y: 0.0 }; 10];
        assert_eq!(scan(name, &[]).clusters(&nowhere, &cells).err(), Some(Reason::NotFinite));
    }
    let permutation = scan("space-time-permutation", &[]);
    assert_eq!(
        permutation.clusters(&places, &with(0, &|cell| cell.observed = Some(0.5))).err(),
        Some(Reason::NotWhole)
    );
    let many =
        permutation.clusters(&places, &with(11, &|cell| cell.observed = Some(1e15))).unwrap();
    assert_eq!((many[0].pvalue, many[0].reason), (None, Some(Reason::TooManyCases)));
    let poisson = scan("prospective-poisson", &[]);
    assert_eq!(
        poisson.clusters(&places, &with(0, &|cell| cell.population = Some(0.0))).err(),
        Some(Reason::MissingPopulation)
    );

    let reasons = |cells: &[Cell]| -> Vec<Option<Reason>> {
        stcd(&[("radius", "1")])
            .judge(&places, cells)
            .judgements
            .iter()
            .map(|judgement| judgement.reason)
            .collect()
    };
    let rows = [
        cell(0, 1.0, 0.0),
        cell(1, 2.0, -1.0),
        cell(1, 3.0, f64::NAN),
        cell(1, 2.5, 1.0),
        cell(2, 4.0, 0.5),
        cell(2, 5.0, 1e15),
    ];
    let expected = [
        Some(Reason::BaselineTooShort),
        Some(Reason::NegativeCount),
        Some(Reason::NotFinite),
        Some(Reason::TimeNotIncreasing),
        Some(Reason::NotWhole),
        Some(Reason::TooManyCases),
    ];
    assert_eq!(reasons(&rows), expected);
    assert_eq!(reasons(&[cell(0, 1.0, 1.0)]), [None]);
    assert!(reasons(&[]).is_empty());
    let refusal = SpaceMethod::parse("stcd", &[]).unwrap_err().to_string();
    assert!(refusal.contains("radius"), "{refusal}");
}

/// The largest LLR by going through all sets of places that are a place's nearest, and all
/// durations.
fn plainly(name: &str, places: &[Place], counts: &[Vec<f64>], neighbours: usize) -> f64 {
    let steps = counts[0].len();
    let total: f64 = counts.iter().flatten().sum();
    let mut highest = 0.0_f64;
    for centre in places {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by(|a, b| {
            Distance::Planar
                .between(*centre, places[*a])
                .total_cmp(&Distance::Planar.between(*centre, places[*b]))
        });
        for size in 1..=neighbours.min(places.len()) {
            for duration in 1..=steps {
                let zone = &order[..size];
                let recent = |row: &Vec<f64>| row[steps - duration..].iter().sum::<f64>();
                let c: f64 = zone.iter().map(|place| recent(&counts[*place])).sum();
                let e = match name {
                    "space-time-permutation" => {
                        let of_zone: f64 = zone.iter().flat_map(|place| &counts[*place]).sum();
                        of_zone * counts.iter().map(recent).sum::<f64>() / total
                    }
                    "prospective-poisson" => {
                        total * (size * duration) as f64 / (places.len() * steps) as f64
                    }
                    _ => 2.5 * (size * duration) as f64,
                };
                if c > e {
                    let outside = if total > c {
                        (total - c) * ((total - c) / (total - e)).ln()
                    } else {
                        0.0
                    };
                    let ratio = c * (c / e).ln()
                        + if name == "expectation-based-poisson" { e - c } else { outside };
                    highest = highest.max(ratio);
                }
            }
        }
    }
    highest
}

proptest! {
    #[test]
    fn scans_find_what_a_plain_search_finds(
        counts in proptest::collection::vec(proptest::collection::vec((0..9_u32).prop_map(f64::from), 4), 1..7),
        seed in any::<u64>(),
        neighbours in 1..8_usize,
    ) {
        let mut random = Random::new(seed);
        let places: Vec<Place> = counts.iter().map(|_| Place { x: random.uniform(), y: random.uniform() }).collect();
        let cells: Vec<Cell> = counts.iter().enumerate()
            .flat_map(|(place, row)| row.iter().enumerate().map(move |(step, count)| Cell { expected: Some(2.5), ..cell(place, step as f64, *count) }))
            .collect();
        for name in SCANS {
            let text = neighbours.to_string();
            let params = [("neighbours", text.as_str()), ("duration-max", "4"), ("range", "1:4"), ("replicates", "9")];
            let ours = scan(name, &params).clusters(&places, &cells).map_or(0.0, |clusters| clusters[0].statistic);
            let plain = plainly(name, &places, &counts, neighbours);
            prop_assert!((ours - plain).abs() <= 1e-8 * (1.0 + plain), "{}: {} is not \
                {}", name, ours, plain);
        }
    }

    #[test]
    fn no_input_panics_or_gives_what_is_no_number(
        rows in proptest::collection::vec((0..4_usize, any_number(), proptest::option::of(any_number()), proptest::option::of(any_number()), proptest::option::of(any_number())), 0..40),
        places in proptest::collection::vec((any_number(), any_number()), 0..4),
    ) {
        let places: Vec<Place> = places.into_iter().map(|(x, y)| Place { x, y }).collect();
        let cells: Vec<Cell> = rows.into_iter().map(|(place, time, observed, population, expected)| Cell { place, time, observed, population, expected }).collect();
        for name in SCANS {
            for params in [&[("replicates", "3")][..], &[("replicates", "3"), ("distance", "great-circle"), ("range", "2:3"), ("overlap", "false")]] {
                if let Ok(clusters) = scan(name, params).clusters(&places, &cells) {
                    for cluster in clusters {
                        prop_assert!(cluster.statistic.is_finite() && cluster.observed.is_finite() && cluster.expected.is_finite());
                        prop_assert!(cluster.pvalue.is_some() == cluster.alarm.is_some() && (cluster.alarm.is_some() || cluster.reason.is_some()));
                    }
                }
            }
        }
        for cusum in ["true", "false"] {
            let answer = stcd(&[("radius", "2"), ("cusum", cusum), ("compat", "surveillance")]).judge(&places, &cells);
            prop_assert_eq!(answer.judgements.len(), cells.len());
            for Judgement { alarm, reason, statistic, .. } in answer.judgements {
                prop_assert!(alarm.is_some() || reason.is_some());
                prop_assert!(statistic.is_none_or(f64::is_finite));
            }
        }
    }
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0..12_u32).prop_map(f64::from),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(1e15), Just(0.5), Just(1e300), any::<f64>()],
    ]
}
