//! Same seed, same bytes; well-formed lines; shares and moments as promised.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::counts::{Drift, Noise, Outbreak, SeriesSpec, series};
use crate::*;

/// FNV-1a, as a print of bytes that must never change.
fn print(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    bytes.iter().fold(hash, step)
}

const NOTHING: u64 = 0xCBF2_9CE4_8422_2325;

fn print_of(lines: impl Iterator<Item = Line>) -> u64 {
    lines.fold(NOTHING, |hash, line| {
        let hash = print(hash, &line.arrival_us.to_le_bytes());
        print(print(hash, line.text.as_bytes()), b"\n")
    })
}

fn small_world(seed: u64) -> World {
    World::new(seed, WorldOptions::posts_over(20_000, 7.0))
}

fn parsed(line: &Line) -> Value {
    serde_json::from_str(&line.text).unwrap()
}

#[test]
fn the_first_lines_of_seed_one_never_change() {
    let world = World::new(1, WorldOptions::default());
    expect_test::expect!["13cbefd575095e2"]
        .assert_eq(&format!("{:x}", print_of(world.take(10_000))));
}

#[test]
fn one_seed_is_one_world() {
    assert_eq!(print_of(small_world(3)), print_of(small_world(3)));
    assert_ne!(print_of(small_world(3)), print_of(small_world(4)));
}

#[test]
fn asking_in_portions_changes_nothing() {
    let whole: Vec<Line> = small_world(5).collect();
    let mut world = small_world(5);
    let mut portions = Vec::new();
    let mut random = Random::new(0);
    let mut instant_us = whole[0].arrival_us;
    while portions.len() < whole.len() {
        instant_us += random.between(1, 3 * HOUR_US);
        let before = portions.len();
        portions.extend(world.lines_before(instant_us));
        assert!(portions[before..].iter().all(|line| line.arrival_us < instant_us));
    }
    assert_eq!(whole, portions);
}

#[test]
fn as_many_posts_as_asked_for() {
    for posts in [0, 1, 2, 999, 10_000] {
        let world = World::new(2, WorldOptions::posts(posts));
        let mut ids = BTreeSet::new();
        for line in world {
            let json = parsed(&line);
            let commit = &json["commit"];
            if commit["collection"] == "app.bsky.feed.post" && commit["operation"] == "create" {
                ids.insert((json["did"].to_string(), commit["rkey"].to_string()));
            }
        }
        assert_eq!(ids.len() as u64, posts);
    }
}

#[test]
fn a_world_ends_at_its_instant() {
    let mut options = WorldOptions::default();
    let end_us = options.start_us + 6 * HOUR_US;
    options.until = Until::Instant(end_us);
    let lines: Vec<Line> = World::new(1, options).collect();
    assert!(lines.len() > 5_000);
    assert!(lines.iter().all(|line| line.arrival_us < end_us));
}

#[test]
fn lines_come_in_order_of_arrival_and_only_repeats_look_back() {
    let mut seen = BTreeSet::new();
    let (mut last_arrival_us, mut last_time_us) = (0, 0);
    let mut repeats = 0;
    for line in small_world(1) {
        assert!(line.arrival_us >= last_arrival_us);
        last_arrival_us = line.arrival_us;
        let time_us = parsed(&line)["time_us"].as_i64().unwrap();
        if seen.insert(line.text.clone()) {
            assert_eq!(time_us, line.arrival_us);
            assert!(time_us > last_time_us);
            last_time_us = time_us;
        } else {
            assert!(line.arrival_us - time_us < 30 * MINUTE_US);
            repeats += 1;
        }
    }
    assert!(repeats > 0);
}

#[test]
fn every_post_is_one_as_the_network_sends_them() {
    let mut facets = 0;
    let mut bytes = 0;
    let mut posts = 0;
    let regions: BTreeSet<&str> = regions().collect();
    for line in small_world(1) {
        let json = parsed(&line);
        let did = json["did"].as_str().unwrap();
        assert!(did.len() == 32 && did.starts_with("did:plc:"), "{did}");
        let commit = &json["commit"];
        if commit["collection"] != "app.bsky.feed.post" || commit["operation"] != "create" {
            continue;
        }
        posts += 1;
        bytes += line.text.len();
        assert!(regions.contains(json["region"].as_str().unwrap()));
        assert_eq!(commit["rkey"].as_str().unwrap().len(), 13);
        assert_eq!(commit["rev"].as_str().unwrap().len(), 13);
        assert_eq!(commit["cid"].as_str().unwrap().len(), 59);
        let record = &commit["record"];
        let created_at = record["createdAt"].as_str().unwrap();
        assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at}");
        let text = record["text"].as_str().unwrap();
        for facet in record["facets"].as_array().into_iter().flatten() {
            facets += 1;
            let at = |key: &str| facet["index"][key].as_u64().unwrap() as usize;
            let written = &text[at("byteStart")..at("byteEnd")];
            let feature = &facet["features"][0];
            match feature["$type"].as_str().unwrap() {
                "app.bsky.richtext.facet#tag" => {
                    assert_eq!(written, format!("#{}", feature["tag"].as_str().unwrap()));
                }
                _ => assert_eq!(format!("https://{written}"), feature["uri"].as_str().unwrap()),
            }
        }
    }
    assert!(facets > 2_000, "{facets}");
    let mean = bytes / posts;
    assert!((500..800).contains(&mean), "{mean} bytes a post");
}

#[test]
fn dates_are_written_as_in_the_calendar() {
    let at = |start_us| {
        let options = WorldOptions { start_us, shares: Shares::none(), ..WorldOptions::posts(50) };
        let line = World::new(1, options).last().unwrap();
        parsed(&line)["commit"]["record"]["createdAt"].as_str().unwrap()[..10].to_owned()
    };
    let noon = |day: i64| day * DAY_US + 12 * HOUR_US;
    assert_eq!(at(noon(11_016)), "2000-02-29");
    assert_eq!(at(noon(20_458)), "2026-01-05");
    assert_eq!(at(noon(20_512)), "2026-02-28");
    assert_eq!(at(noon(20_513)), "2026-03-01");
    assert_eq!(at(noon(47_481)), "2099-12-31");
}

/// Counts what happened to the posts of a long world, per post.
#[test]
fn everything_happens_about_as_often_as_it_should() {
    let options = WorldOptions { events: Some(vec![]), ..WorldOptions::posts_over(200_000, 20.0) };
    let horizon_us = 36 * HOUR_US;
    let mut seen_lines = BTreeSet::new();
    let mut created: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    let mut tally: BTreeMap<String, f64> = BTreeMap::new();
    for line in World::new(9, options.clone()) {
        let mut count = |what: &str| *tally.entry(what.to_owned()).or_default() += 1.0;
        if !seen_lines.insert(print(NOTHING, line.text.as_bytes())) {
            count("repeat");
            continue;
        }
        let json = parsed(&line);
        if json["kind"] != "commit" {
            count(json["kind"].as_str().unwrap());
            count(json["account"]["status"].as_str().unwrap_or("active"));
            continue;
        }
        let commit = &json["commit"];
        let collection = commit["collection"].as_str().unwrap();
        let operation = commit["operation"].as_str().unwrap();
        count(&format!("{collection} {operation}"));
        if collection != "app.bsky.feed.post" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let id = (text(&json["did"]), text(&commit["rkey"]));
        match operation {
            "delete" => {
                match created.get(&id) {
                    None => count("delete before"),
                    Some(at_us) if line.arrival_us > at_us + horizon_us => count("delete beyond"),
                    Some(_) => {}
                }
                deleted.insert(id);
            }
            "create" if created.contains_key(&id) => count("unequal"),
            "create" => {
                let created_us = created_us(&json);
                match line.arrival_us - created_us {
                    age_us if age_us > horizon_us => count("late beyond"),
                    age_us if age_us > HOUR_US / 2 => count("late"),
                    age_us if age_us < -5 * MINUTE_US => count("clamped"),
                    _ => {}
                }
                count(if json["region"] == "ZZ" { "unlocated" } else { "located" });
                let tags = tags(&json);
                let is_health = Topic::ALL.into_iter().any(|topic| {
                    let langs = words::Lang::ALL.into_iter();
                    langs.flat_map(|lang| topic.tags(lang)).any(|tag| tags.contains(*tag))
                });
                if is_health {
                    count("health");
                }
                created.insert(id, created_us);
            }
            _ => {}
        }
    }
    let posts = created.len() as f64;
    assert_eq!(posts, 200_000.0);
    let shares = options.shares;
    for (what, share, tolerance) in [
        ("app.bsky.feed.post delete", shares.deletes, 0.2),
        ("delete before", shares.deletes_before, 0.35),
        ("app.bsky.feed.post update", shares.edits, 0.25),
        ("app.bsky.feed.like create", shares.likes, 0.1),
        ("app.bsky.feed.like delete", shares.unlikes, 0.2),
        ("app.bsky.feed.repost create", shares.reposts, 0.1),
        ("app.bsky.graph.follow create", shares.follows, 0.1),
        ("app.bsky.actor.profile update", shares.profiles, 0.2),
        ("identity", shares.identities, 0.2),
        ("deleted", shares.departures * 0.5, 0.5),
        ("deactivated", shares.departures * 0.34, 0.5),
        ("repeat", shares.repeats, 0.7),
        ("unequal", shares.unequal, 0.3),
        ("late", shares.late * 0.8, 0.15),
        ("late beyond", shares.late * 0.2, 0.25),
        ("clamped", shares.early * 0.8, 0.3),
        ("health", options.health * 0.9, 0.15),
        ("unlocated", options.unlocated, 0.05),
    ] {
        let measured = tally.get(what).copied().unwrap_or(0.0) / posts;
        assert!((measured / share - 1.0).abs() < tolerance, "{what}: {measured} against {share}");
    }
    assert!(tally["delete beyond"] > 50.0);
    assert!(tally["active"] > 20.0);
}

/// The tags that a post's facets name.
fn tags(json: &Value) -> BTreeSet<String> {
    let facets = json["commit"]["record"]["facets"].as_array().into_iter().flatten();
    let tags = facets.filter_map(|facet| facet["features"][0]["tag"].as_str());
    tags.map(str::to_owned).collect()
}

/// From the record key, which follows from it exactly.
fn created_us(json: &Value) -> i64 {
    let digits = "234567abcdefghijklmnopqrstuvwxyz";
    let key = json["commit"]["rkey"].as_str().unwrap();
    let bits = key.chars().fold(0, |bits, c| bits << 5 | digits.find(c).unwrap() as i64);
    bits >> 10
}

#[test]
fn what_is_planned_is_what_happens() {
    let options = WorldOptions::posts_over(60_000, 10.0);
    let day = |day: f64| options.start_us + (day * DAY_US as f64) as i64;
    let event = |kind, topic, region, from: f64, to: f64, factor| Event {
        kind,
        topic,
        region,
        start_us: day(from),
        end_us: day(to),
        factor,
    };
    let usual = options.usual_per_day(Topic::Measles, "DE-BE");
    let events = vec![
        event(EventKind::Outage { catch_up: false }, None, "001", 2.0, 2.25, 0.0),
        event(EventKind::Outage { catch_up: true }, None, "001", 3.0, 3.25, 0.0),
        event(EventKind::Bot, Some(Topic::Fever), "FR-IDF", 4.0, 4.5, 20.0),
        event(
            EventKind::Outbreak(Shape::Spike),
            Some(Topic::Measles),
            "DE-BE",
            6.0,
            7.0,
            1.0 + 100.0 / usual,
        ),
        event(EventKind::News, Some(Topic::StomachBug), "001", 8.0, 9.0, 40.0),
    ];
    let world = World::new(1, WorldOptions { events: Some(events.clone()), ..options.clone() });
    assert_eq!(world.events(), events);
    let (mut caught_up, mut by_bots) = (0, 0);
    let mut bots = BTreeSet::new();
    let mut ill = BTreeSet::new();
    let mut news_regions = BTreeSet::new();
    for line in world {
        let silent = |from, to| day(from) <= line.arrival_us && line.arrival_us < day(to);
        assert!(!silent(2.0, 2.25) && !silent(3.0, 3.25));
        let json = parsed(&line);
        if json["commit"]["operation"] != "create" || json["region"].is_null() {
            continue;
        }
        let created_us = created_us(&json);
        if day(3.0) < created_us && created_us < day(3.25) {
            caught_up += 1;
        }
        if line.text.contains("wonderdrops.example") {
            by_bots += 1;
            bots.insert(json["did"].to_string());
        }
        if line.text.contains("courier.example") {
            news_regions.insert(json["region"].to_string());
        }
        let is_measles = line.text.contains("#Masern") || line.text.contains("#masern");
        if json["region"] == "DE-BE" && is_measles && silent(6.0, 7.0) {
            ill.insert(json["did"].to_string());
        }
    }
    assert!(caught_up > 800, "{caught_up}");
    assert!((180..300).contains(&by_bots), "{by_bots}");
    assert!(bots.len() <= 3);
    assert!((50..160).contains(&ill.len()), "{}", ill.len());
    assert!(news_regions.len() > 20);
}

#[test]
fn days_have_nights_and_a_few_people_post_much() {
    let options = WorldOptions {
        events: Some(vec![]),
        shares: Shares::none(),
        growth_per_week: 0.0,
        ..WorldOptions::posts_over(300_000, 14.0)
    };
    let start_us = options.start_us;
    let mut by_local_hour = [0_u32; 24];
    let mut by_hour = vec![0_u32; 14 * 24];
    let mut by_author: BTreeMap<String, u32> = BTreeMap::new();
    for line in World::new(1, options) {
        let json = parsed(&line);
        let hour = (line.arrival_us - start_us) / HOUR_US;
        *by_author.entry(json["did"].to_string()).or_default() += 1;
        if json["region"] == "DE-BE" {
            by_local_hour[((hour + 1) % 24) as usize] += 1;
            if let Some(count) = by_hour.get_mut(hour as usize) {
                *count += 1;
            }
        }
    }
    assert!(by_local_hour[20] > 4 * by_local_hour[4], "{by_local_hour:?}");
    let mut counts: Vec<u32> = by_author.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: u32 = counts[..counts.len() / 100].iter().sum();
    assert!((0.08..0.5).contains(&(f64::from(top) / 300_000.0)), "{top}");
    // The same hour of the same weekday, a week apart: half the squared difference is the variance.
    let (week, other) = by_hour.split_at(168);
    let variance: f64 =
        week.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2) / 2.0).sum();
    let dispersion = variance / (f64::from(by_hour.iter().sum::<u32>()) / 2.0);
    assert!((1.3..6.0).contains(&dispersion), "{dispersion}");
}

#[test]
fn memory_is_bounded_by_what_may_be_pending() {
    let mut world = World::new(1, WorldOptions::posts_over(400_000, 28.0));
    let mut text = String::new();
    let mut most = 0;
    while world.next_line(&mut text).is_some() {
        most = most.max(world.pending_len());
    }
    assert!(most < 12_000, "{most}");
}

#[test]
fn the_demo_has_a_quiet_past_and_a_lively_day_at_any_hour() {
    let is_fever = |line: &Line| {
        let tags = Topic::Fever.tags(words::Lang::De);
        line.text.contains("\"DE-BE\"") && tags.iter().any(|tag| line.text.contains(tag))
    };
    for hour in 0..24 {
        let live_us = 1_780_000_000 * SECOND_US + hour * HOUR_US;
        let options = DemoOptions { history_days: 3, ..DemoOptions::new(live_us) };
        let DemoWorld { mut world, live_us } = DemoWorld::new(1, &options);
        let history = world.lines_before(live_us).filter(is_fever).count();
        assert!(world.posts() > 40_000, "{}", world.posts());
        assert!(history < 20, "{history}");
        let first_hour = world.lines_before(live_us + HOUR_US).filter(is_fever).count();
        assert!((5..80).contains(&first_hour), "{hour}: {first_hour}");
    }
}

#[test]
fn the_demo_goes_on() {
    let noon_us = 1_780_056_000 * SECOND_US;
    let options = DemoOptions::from_morning_before(noon_us);
    assert_eq!(noon_us - options.live_us, 4 * HOUR_US);
    let options = DemoOptions { history_days: 1, ..options };
    let DemoWorld { mut world, live_us } = DemoWorld::new(1, &options);
    let kinds: Vec<EventKind> = world.events().iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::Bot));
    assert!(kinds.contains(&EventKind::Outage { catch_up: true }));
    assert!(world.lines_before(live_us + 7 * HOUR_US).count() > 10_000);
    assert!(world.lines_before(live_us + 30 * DAY_US).count() > 400_000);
}

/// Mean and variance of many draws.
fn moments(mut draw: impl FnMut(&mut Random) -> f64) -> (f64, f64) {
    const DRAWS: usize = 200_000;
    let mut random = Random::new(7);
    let draws: Vec<f64> = (0..DRAWS).map(|_| draw(&mut random)).collect();
    let mean = draws.iter().sum::<f64>() / DRAWS as f64;
    let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (DRAWS - 1) as f64;
    (mean, variance)
}

fn assert_moments(what: &str, found: (f64, f64), mean: f64, variance: f64) {
    let tolerance = 5.0 * (variance / 200_000.0).sqrt();
    assert!((found.0 - mean).abs() < tolerance, "{what}: mean {} against {mean}", found.0);
    assert!(
        (found.1 / variance - 1.0).abs() < 0.05,
        "{what}: variance {} against {variance}",
        found.1
    );
}

#[test]
fn draws_have_the_moments_of_their_distributions() {
    assert_moments("uniform", moments(|random| random.unit()), 0.5, 1.0 / 12.0);
    assert_moments("below", moments(|random| random.below(10) as f64), 4.5, 8.25);
    assert_moments("normal", moments(normal), 0.0, 1.0);
    assert_moments("exponential", moments(exponential), 1.0, 1.0);
    for shape in [0.1, 0.5, 1.0, 2.5, 40.0] {
        let found = moments(|random| gamma(random, shape));
        assert_moments(&format!("gamma {shape}"), found, shape, shape);
    }
    for mean in [0.05, 0.7, 3.0, 9.99, 10.0, 25.0, 400.0, 1e5] {
        let found = moments(|random| poisson(random, mean) as f64);
        assert_moments(&format!("poisson {mean}"), found, mean, mean);
    }
    for (mean, size) in [(0.2, 1.0), (5.0, 2.0), (20.0, 0.7), (100.0, 10.0)] {
        let found = moments(|random| negative_binomial(random, mean, size) as f64);
        let variance = mean + mean * mean / size;
        assert_moments(&format!("negative binomial {mean} {size}"), found, mean, variance);
    }
}

/// Probabilities one by one, where moments could hide a wrong seam between two methods.
#[test]
fn poisson_draws_follow_the_probabilities() {
    for mean in [0.5, 6.0, 10.5, 30.0] {
        let mut random = Random::new(3);
        let mut counts = vec![0.0; 200];
        for _ in 0..200_000 {
            counts[poisson(&mut random, mean) as usize] += 1.0;
        }
        let mut chi_square = 0.0;
        let mut cells = 0.0;
        for (count, drawn) in counts.iter().enumerate() {
            let k = count as f64;
            let expected =
                200_000.0 * libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0));
            if expected >= 10.0 {
                chi_square += (drawn - expected).powi(2) / expected;
                cells += 1.0;
            }
        }
        assert!(
            chi_square < cells + 4.0 * (2.0_f64 * cells).sqrt(),
            "{mean}: {chi_square} in {cells}"
        );
    }
}

#[test]
fn impossible_parameters_draw_zero() {
    let mut random = Random::new(1);
    for wrong in [f64::NAN, -1.0, 0.0, f64::NEG_INFINITY] {
        assert_eq!(poisson(&mut random, wrong), 0);
        assert_eq!(gamma(&mut random, wrong), 0.0);
        assert_eq!(negative_binomial(&mut random, 5.0, wrong), 0);
        assert_eq!(negative_binomial(&mut random, wrong, 5.0), 0);
    }
    assert!(poisson(&mut random, f64::INFINITY) > 900_000_000);
}

#[test]
fn series_have_the_mean_variance_and_growth_asked_for() {
    let mean_of = |counts: &[u32]| {
        counts.iter().map(|count| f64::from(*count)).sum::<f64>() / counts.len() as f64
    };
    let calm = SeriesSpec::daily(100_000, 4.0);
    let counts = series(&calm, 1).baseline;
    assert!((mean_of(&counts) - 4.0).abs() < 0.04);

    let drift = Some(Drift { correlation: 0.8, sd: 0.5 });
    let noisy = SeriesSpec {
        noise: Noise::NegativeBinomial { size: 2.0 },
        drift,
        ..SeriesSpec::daily(300_000, 6.0)
    };
    let counts = series(&noisy, 1).baseline;
    let mean = mean_of(&counts);
    assert!((mean - 6.0).abs() < 0.2, "{mean}");
    let variance = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>()
        / counts.len() as f64;
    // E[m] + E[m²] (1 + 1/size) - E[m]², with E[m²] = mean² exp(sd²).
    let expected = 6.0 + 36.0 * libm::exp(0.25) * 1.5 - 36.0;
    assert!((variance / expected - 1.0).abs() < 0.06, "{variance} against {expected}");

    let growing = SeriesSpec { growth_per_week: 0.1, ..SeriesSpec::daily(70, 1000.0) };
    let counts = series(&growing, 1).baseline;
    let growth = mean_of(&counts[63..]) / mean_of(&counts[..7]);
    assert!((growth / 1.1_f64.powi(9) - 1.0).abs() < 0.02, "{growth}");

    let mut weekdays = [1.0; 7];
    weekdays[6] = 3.0;
    let mut hours = [1.0; 24];
    hours[3] = 0.0;
    let patterned = SeriesSpec { weekdays, hours, ..SeriesSpec::hourly(24 * 7 * 20, 50.0) };
    let counts = series(&patterned, 1).baseline;
    let sundays: Vec<u32> = counts.chunks(24).skip(6).step_by(7).flatten().copied().collect();
    assert!((mean_of(&sundays) - 150.0 * 23.0 / 24.0).abs() < 2.0);
    assert!(counts.iter().skip(3).step_by(24).all(|count| *count == 0));
}

#[test]
fn an_outbreak_lies_on_the_same_baseline() {
    let calm = SeriesSpec::daily(60, 5.0);
    for (shape, share) in [(Shape::Spike, 1.0), (Shape::ThreeDayRise, 0.7), (Shape::SlowRise, 0.5)]
    {
        let outbreak = Outbreak { start: 40, length: 10, shape, peak: 50.0 };
        let ill = SeriesSpec { outbreak: Some(outbreak), ..calm.clone() };
        let mut total = 0.0;
        for seed in 0..200 {
            let series_ill = series(&ill, seed);
            assert_eq!(series_ill.baseline, series(&calm, seed).baseline);
            assert!(series_ill.outbreak[..40].iter().all(|count| *count == 0));
            assert!(series_ill.outbreak[50..].iter().all(|count| *count == 0));
            assert_eq!(
                series_ill.observed()[45],
                series_ill.baseline[45] + series_ill.outbreak[45]
            );
            total += f64::from(series_ill.outbreak.iter().sum::<u32>());
        }
        let mean = total / 200.0;
        assert!((mean / (500.0 * share) - 1.0).abs() < 0.03, "{shape:?}: {mean}");
    }
    // One that reaches beyond the series is cut.
    let outbreak = Outbreak { start: 58, length: 10, shape: Shape::Spike, peak: 50.0 };
    assert_eq!(series(&SeriesSpec { outbreak: Some(outbreak), ..calm }, 1).outbreak.len(), 60);
}

#[test]
fn the_generator_is_the_published_one() {
    // splitmix64 from 0, as in its reference code, then xoshiro256++ from that state.
    let mut random = Random::new(0);
    let drawn: Vec<String> = (0..3).map(|_| format!("{:016x}", random.next_u64())).collect();
    assert_eq!(drawn, ["53175d61490b23df", "61da6f3dc380d507", "5c0fdf91ec9a7bfc"]);
}
