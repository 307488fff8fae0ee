//! What is said of a closed pane or window doesn't depend on when ticks come: all posts of it are
//! in it, and in its denominators.

use std::collections::BTreeMap;

use super::drive::run;
use super::season::{BASE, post, tallies};
use super::*;
use crate::naive::streams::{Item, Rng, each_stream};

/// Posts in the order of arrival, none later than lateness, of a topic that is counted by weeks;
/// ticks anywhere among them.
fn weeks(mut rng: Rng) -> Vec<Item> {
    let patient = |pane: Micros| TopicSetting {
        id: "patient".into(),
        name: "patient".into(),
        kind: Kind::Patient,
        pane,
        windows: vec![pane],
    };
    let mut settings = settings(1);
    settings.topics.truncate(1);
    settings.topics.push(patient(rng.pick(&[7 * DAY, DAY, 3 * HOUR])));
    settings.horizon = rng.pick(&[36 * HOUR, 5 * HOUR]);
    settings.lateness = rng.pick(&[2 * MINUTE, 90 * SECOND, 37 * SECOND, 0]);
    settings.author_epoch = 400 * DAY;
    let begin = pane_start(BASE + 4 * DAY + rng.between(0, DAY), SECOND);
    let span = rng.pick(&[2 * DAY, 9 * DAY]);
    let mut times: Vec<Micros> = (0..rng.below(300) + 30)
        .map(|_| pane_start(begin + rng.between(0, span), SECOND))
        .collect();
    if rng.chance(50) {
        // A topic whose last post of a pane comes well before other posts end.
        let border = pane_start(begin + span, 7 * DAY);
        times.extend((0..20).map(|nth| border - nth * 3 * MINUTE));
    }
    times.retain(|at| *at > begin);
    times.sort_unstable();
    let mut items = vec![Item::everywhere(Record::Settings(settings.clone()))];
    let mut reached = begin - SECOND;
    let step = rng.pick(&[SECOND, 3 * SECOND, 10 * SECOND, HOUR]);
    let mut tick = |items: &mut Vec<Item>, at: Micros| {
        let feed = FeedTick {
            feed: "feed".into(),
            epoch: 1,
            from: reached,
            reached: at,
            span: Span::Covered,
            ended: false,
        };
        items.push(Item::everywhere(Record::Tick(Tick { settings: 1, at, feeds: vec![feed] })));
        reached = at;
    };
    let mut last = begin - SECOND;
    for (nth, at) in times.into_iter().enumerate() {
        // Some ticks just before and after a post, some only after many of them, some just after an
        // instant.
        let nears = [
            at - at.rem_euclid(HOUR) + settings.lateness + rng.between(0, SECOND),
            at - rng.between(0, step),
        ];
        let near = rng.pick(&nears);
        if near > last && near <= at && rng.chance(60) {
            tick(&mut items, near);
        }
        last = at;
        let mut post = post(nth as u64, rng.below(200), rng.pick(&["DE/DE-BE", "US/US-TX"]));
        let late = rng.between(0, settings.lateness + 1).min(at - begin);
        let late = pane_start(late, SECOND);
        (post.event_time, post.arrival) = (at - late, at);
        post.langs = vec![rng.pick(&["de", "en"]).to_owned()];
        if rng.chance(50) {
            post.topics = vec![TopicMatch {
                id: "patient".into(),
                voice: Voice::Other,
                keys: vec!["patient".into()],
            }];
        }
        items.push(Item { author: post.author.map(|author| author.0), record: Record::Post(post) });
    }
    let end = last + rng.between(1, 2 * DAY);
    tick(&mut items, end);
    // Open counts are told every two seconds only.
    tick(&mut items, end + 5 * SECOND);
    items
}

fn closed_numbers_are_whole(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Live, Mode::Live, Mode::AsLive]);
    let told: Vec<Record> =
        tallies(log, rng.pick(&[1, 3])).into_iter().map(|(_, record)| record).collect();
    let out = run(mode, &told).map_err(|why| why.to_string())?;
    let posts: Vec<&Post> = log
        .iter()
        .filter_map(|item| if let Record::Post(post) = &item.record { Some(post) } else { None })
        .collect();
    let all = |region: &str, from: Micros, to: Micros| {
        let within = |post: &&&Post| post.event_time >= from && post.event_time < to;
        posts
            .iter()
            .filter(within)
            .filter(|post| {
                region == "001"
                    || post.path().split('/').any(|code| code == region)
                    || post.langs.iter().any(|lang| format!("lang:{lang}") == region)
            })
            .count() as u64
    };
    for record in &out {
        if let Record::Verdict(verdict) = record
            && verdict.stage != Stage::Early
        {
            let due = all(
                &verdict.region,
                verdict.window_end - verdict.window_length,
                verdict.window_end,
            );
            if verdict.population != due {
                return Err(format!(
                    "{} posts in all instead of {due}: {verdict:?}",
                    verdict.population
                ));
            }
        }
    }
    // The last word on a pane that has closed, before and after it is final.
    let ticks: Vec<Micros> = log
        .iter()
        .filter_map(|item| if let Record::Tick(tick) = &item.record { Some(tick.at) } else { None })
        .collect();
    let open: Vec<Record> = told
        .iter()
        .filter(|record| !matches!(record, Record::Frame(frame) if frame.ended))
        .cloned()
        .collect();
    let before_end = run(mode, &open).map_err(|why| why.to_string())?;
    let Record::Settings(settings) = &log[0].record else { return Ok(()) };
    let mut last: BTreeMap<(String, String, Micros), &Count> = BTreeMap::new();
    for record in &before_end {
        if let Record::Count(count) = record {
            last.insert((count.topic.clone(), count.region.clone(), count.pane_start), count);
        }
    }
    let passed = ticks[ticks.len().saturating_sub(2)];
    for count in last.values().filter(|count| mode == Mode::Live && count.pane_length > HOUR) {
        let end = count.pane_start + count.pane_length;
        let due = all(&count.region, count.pane_start, end);
        if end + settings.lateness <= passed && count.total_posts != due {
            return Err(format!("{} posts in all instead of {due}: {count:?}", count.total_posts));
        }
    }
    Ok(())
}

#[test]
fn closed_counts_hold_all_posts_whenever_ticks_come() {
    each_stream(600, weeks, closed_numbers_are_whole);
}

fn no_count_exceeds_its_total(log: &[Item], mut rng: Rng) -> Result<(), String> {
    let mode = rng.pick(&[Mode::Live, Mode::AsLive]);
    let frames: Vec<Record> =
        tallies(log, rng.pick(&[1, 3])).into_iter().map(|(_, record)| record).collect();
    for record in run(mode, &frames).map_err(|why| why.to_string())? {
        if let Record::Count(count) = &record
            && u64::from(count.posts) > count.total_posts
        {
            return Err(format!("more posts than in all: {count:?}"));
        }
    }
    Ok(())
}

#[test]
fn no_published_count_exceeds_its_total() {
    each_stream(600, weeks, no_count_exceeds_its_total);
}
