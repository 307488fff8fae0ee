//! Random logs in which something happens: quiet hours, outbreaks, silence of feeds, deletions,
//! late posts.
//!
//! A log is in the order of arrival, so nothing in it comes after what it concerns is final.
//! Windows are hours long, so that a stream of two days has a past to be judged by.

use record::kind::Kind;
use record::region::OwnRegion;
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_border, pane_start};
use record::*;

use crate::Tally;
use crate::naive::streams::{Item, Rng};

/// 2026-02-26T00:00:00Z: the authors keep their names from nine days before until three months
/// after; see `settings`.
pub(crate) const BASE: Micros = 20_510 * DAY;

/// What a season may have in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) hours: i64,
    pub(crate) posts: u64,
    pub(crate) authors: u64,
    pub(crate) kinds: &'static [Kind],
    /// Deletions, removals, late posts, duplicates.
    pub(crate) disorder: bool,
    /// Silence, lags, ends and a second feed.
    pub(crate) troubles: bool,
    /// Windows of a day and a week instead of hours.
    pub(crate) real: bool,
}

impl Recipe {
    pub(crate) const SMALL: Recipe = Recipe {
        hours: 36,
        posts: 120,
        authors: 30,
        kinds: &[Kind::Disease, Kind::Crisis, Kind::Sensitive, Kind::Narrative],
        disorder: true,
        troubles: true,
        real: false,
    };
}

pub(crate) fn topic(kind: Kind, pane: Micros, windows: &[Micros]) -> TopicSetting {
    TopicSetting {
        id: kind.name().to_owned(),
        name: kind.name().to_owned(),
        kind,
        pane,
        windows: windows.to_vec(),
    }
}

pub(crate) fn settings(rng: &mut Rng, recipe: &Recipe) -> Settings {
    let mut topics = Vec::new();
    for kind in recipe.kinds {
        topics.push(match kind {
            _ if recipe.real => topic(*kind, kind.pane(), kind.windows()),
            Kind::Symptom | Kind::Disease => topic(
                *kind,
                HOUR,
                rng.pick(&[&[2 * HOUR, 6 * HOUR][..], &[3 * HOUR, DAY], &[HOUR, 4 * HOUR]]),
            ),
            Kind::Crisis => topic(*kind, 5 * MINUTE, &[30 * MINUTE, 2 * HOUR]),
            Kind::Narrative | Kind::Campaign => topic(*kind, 2 * HOUR, &[4 * HOUR, 8 * HOUR]),
            Kind::Sensitive | Kind::Patient => topic(*kind, 3 * HOUR, &[3 * HOUR]),
        });
    }
    let mut feeds = vec![FeedSetting::new("a", true)];
    if recipe.troubles && rng.chance(40) {
        feeds.push(FeedSetting::new("b", rng.chance(70)));
    }
    let horizon =
        if recipe.real { 36 * HOUR } else { rng.pick(&[HOUR, 2 * HOUR, 3 * HOUR, 7 * HOUR]) };
    let floors = Floors {
        accounts: rng.pick(&[1, 2, 3]),
        posts: rng.pick(&[1, 3, 5]),
        ratio: rng.pick(&[1.0, 1.5]),
    };
    let guardband = if recipe.real { 48 * HOUR } else { horizon + rng.pick(&[0, HOUR]) };
    let mut settings = Settings {
        horizon,
        topics,
        feeds,
        regions: vec![OwnRegion { code: "MITTE".to_owned(), parent: Some("DE-BE".to_owned()) }],
        detect: DetectSettings { floors, guardband, ..DetectSettings::default() },
        windows: vec![HOUR],
        author_epoch: 100 * DAY,
        ..Settings::default()
    };
    settings.detect.method = rng.pick(&["eears", "eears", "ears-c1", "ears-c3"]).to_owned();
    settings
}

const PATHS: [&str; 5] = ["DE/DE-BE", "DE/DE-BE/MITTE", "DE/DE-BY", "US/US-TX", "ZZ"];

struct Outbreak {
    from: Micros,
    to: Micros,
    path: &'static str,
    topic: String,
}

/// A log with ticks, without its end.
pub(crate) fn season(mut rng: Rng, recipe: &Recipe) -> Vec<Item> {
    let settings = settings(&mut rng, recipe);
    season_of(rng, recipe, settings)
}

pub(crate) fn season_of(mut rng: Rng, recipe: &Recipe, settings: Settings) -> Vec<Item> {
    let horizon = settings.horizon;
    let mut items = vec![Item::everywhere(Record::Settings(settings.clone()))];
    let begin = BASE + rng.between(0, 2 * HOUR);
    let span = recipe.hours * HOUR;
    let tick_every = if recipe.hours > 100 {
        2 * HOUR
    } else {
        rng.pick(&[3 * MINUTE, 10 * MINUTE, 20 * MINUTE, 50 * MINUTE])
    };
    let ids: Vec<String> = settings.topics.iter().map(|topic| topic.id.clone()).collect();
    let outbreaks: Vec<Outbreak> = (0..rng.below(4))
        .map(|_| {
            let from = begin + rng.between(span / 4, span);
            let topic = rng.pick(&ids);
            Outbreak {
                from,
                to: from + rng.pick(&[20 * MINUTE, 2 * HOUR, 5 * HOUR]),
                path: rng.pick(&PATHS),
                topic,
            }
        })
        .collect();
    // A time of arrival for each post: some on the background, the others in an outbreak.
    let mut times: Vec<(Micros, Option<usize>)> = (0..recipe.posts)
        .map(|_| {
            let which = rng.below(outbreaks.len() as u64 + 1) as usize;
            match outbreaks.get(which).filter(|_| rng.chance(70)) {
                Some(outbreak) => (rng.between(outbreak.from, outbreak.to), Some(which)),
                None => (begin + rng.between(0, span), None),
            }
        })
        .collect();
    times.sort_unstable();
    let quiet_topics = rng.chance(50);
    let mut feeds: Vec<(String, Micros)> =
        settings.feeds.iter().map(|feed| (feed.name.clone(), begin)).collect();
    let mut trouble: Vec<(bool, Micros)> = vec![(false, 0); feeds.len()];
    let mut ended = vec![false; feeds.len()];
    let mut ticked = begin;
    let mut made: Vec<(Item, Micros)> = Vec::new();
    let last = begin + span;
    let mut tick = |items: &mut Vec<Item>, at: Micros, rng: &mut Rng| {
        let mut claims = Vec::new();
        for (nth, (name, claimed)) in feeds.iter_mut().enumerate() {
            if recipe.troubles {
                if rng.chance(2) {
                    trouble[nth] = (rng.chance(60), if rng.chance(40) { 30 * MINUTE } else { 0 });
                }
                if rng.chance(1) && nth > 0 {
                    ended[nth] = !ended[nth];
                }
                if rng.chance(5) {
                    continue;
                }
            }
            let (silent, lag) = trouble[nth];
            let reached = if ended[nth] { *claimed } else { (at - lag).max(*claimed) };
            let again = recipe.troubles && rng.chance(3);
            let from = if again { *claimed - rng.between(0, 3 * HOUR) } else { *claimed };
            let span = if silent && !again { Span::Silent } else { Span::Covered };
            claims.push(FeedTick {
                feed: name.clone(),
                epoch: 1,
                from,
                reached,
                span,
                ended: ended[nth],
            });
            *claimed = reached;
        }
        items.push(Item::everywhere(Record::Tick(Tick {
            settings: settings.number,
            at,
            feeds: claims,
        })));
    };
    for (nth, (arrival, outbreak)) in times.into_iter().enumerate() {
        let arrival = pane_start(arrival, SECOND);
        while ticked + tick_every <= arrival {
            ticked += tick_every;
            tick(&mut items, ticked, &mut rng);
        }
        if recipe.disorder && !made.is_empty() && rng.chance(12) {
            let (item, _) = rng.pick(&made);
            let Record::Post(post) = &item.record else { continue };
            let op = rng.pick(&[Op::Delete, Op::Delete, Op::Remove, Op::Create]);
            if op == Op::Create {
                items.push(item.clone());
            } else {
                let id = if op == Op::Delete { post.id } else { PostId::NONE };
                let gone = Post {
                    op,
                    id,
                    arrival,
                    event_time: arrival,
                    topics: vec![],
                    tags: vec![],
                    ..post.clone()
                };
                items.push(Item { record: Record::Post(gone), ..item.clone() });
            }
        }
        let delay = match rng.below(20) {
            _ if !recipe.disorder => 0,
            0 => horizon,
            1 => rng.between(0, horizon + HOUR),
            2 => -rng.between(0, 5 * MINUTE),
            3..6 => rng.between(0, 20 * MINUTE),
            _ => 0,
        };
        let author = rng.below(recipe.authors);
        let mut hits: Vec<&String> = match outbreak {
            Some(which) => vec![&outbreaks[which].topic],
            None if quiet_topics && rng.chance(80) => vec![],
            None => ids.iter().filter(|_| rng.chance(30)).collect(),
        };
        hits.dedup();
        let path = match outbreak {
            Some(which) if rng.chance(90) => outbreaks[which].path,
            _ => rng.pick(&PATHS),
        };
        let topics = hits.into_iter().map(|id| hit(&mut rng, id)).collect();
        let post = Post {
            event_time: pane_start(arrival - delay, SECOND),
            arrival,
            topics,
            overlays: if rng.chance(10) { vec!["x:flood".to_owned()] } else { vec![] },
            langs: rng.pick(&[
                vec![],
                vec!["de".to_owned()],
                vec!["de".to_owned(), "en".to_owned()],
            ]),
            flags: Flags { filtered: recipe.disorder && rng.chance(5), ..Flags::default() },
            ..post(nth as u64, author, path)
        };
        let item = Item { author: Some(author), record: Record::Post(post) };
        made.push((item.clone(), arrival));
        items.push(item);
    }
    let rest = rng.pick(&[0, HOUR, horizon + HOUR, 26 * HOUR]);
    while ticked < last + rest {
        ticked += tick_every.max(10 * MINUTE);
        tick(&mut items, ticked, &mut rng);
    }
    if rng.chance(50) { decide(items, &ids, &mut rng) } else { items }
}

/// People decide now and then that something was an event, and that it was none after all.
fn decide(items: Vec<Item>, topics: &[String], rng: &mut Rng) -> Vec<Item> {
    const REGIONS: [&str; 8] = ["001", "DE", "DE", "DE-BE", "MITTE", "US-TX", "ZZ", "lang:de"];
    let begin = items
        .iter()
        .find_map(|item| if let Record::Tick(tick) = &item.record { Some(tick.at) } else { None });
    let ticks = items.iter().filter(|item| matches!(item.record, Record::Tick(_))).count() as u64;
    let mut decided = Vec::new();
    for item in items {
        let at = if let Record::Tick(tick) = &item.record { Some(tick.at) } else { None };
        decided.push(item);
        let (Some(at), Some(begin)) = (at, begin) else { continue };
        if !rng.chance((800 / ticks.max(8)).max(1)) {
            continue;
        }
        // The coming end of a pane, or a later one.
        let valid_from = pane_border(at, HOUR) + HOUR + rng.pick(&[0, 0, HOUR, 5 * HOUR]);
        let alert = rng.pick(&["one", "two", "three"]).to_owned();
        let record = if rng.chance(40) {
            Record::Lift(Lift { alert, valid_from })
        } else {
            let from = rng.between(begin, at.max(begin + 1));
            let to = from + rng.pick(&[HOUR, 3 * HOUR, DAY]);
            Record::Exclusion(Exclusion {
                topic: rng.pick(topics),
                region: rng.pick(&REGIONS).to_owned(),
                from,
                to,
                valid_from,
                alert,
            })
        };
        decided.push(Item::everywhere(record));
        if rng.chance(10) {
            // Said again after a kill.
            decided.extend(decided.last().cloned());
        }
    }
    decided
}

fn hit(rng: &mut Rng, id: &str) -> TopicMatch {
    let voice = rng.pick(&[Voice::Own, Voice::News, Voice::Other]);
    let keys = if id == "sensitive" { vec![] } else { vec![id.to_owned()] };
    TopicMatch { id: id.to_owned(), voice, keys }
}

/// A post of an author in a place, on nothing, at no time.
pub(crate) fn post(id: u64, author: u64, path: &str) -> Post {
    let print = Rng::new(id).next();
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId(u128::from(print) << 64 | u128::from(id + 1)),
        alias: None,
        author: Some(Author(author + 1)),
        author_before: None,
        event_time: 0,
        arrival: 0,
        places: vec![Place {
            path: path.into(),
            meaning: Meaning::AuthorAt,
            provenance: Provenance::Given,
            confidence: 100,
        }],
        overlays: vec![],
        langs: vec![],
        tags: vec![Tag { key: "tag".into(), written: "tag".into() }],
        topics: vec![],
        link_domain: None,
        simhash: print % 5,
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

/// What the tallies say of a log that ends: (partition, record) in the order of the log; of no
/// partition are settings, exclusions and lifts.
pub(crate) fn tallies(log: &[Item], partitions: u32) -> Vec<(Option<u32>, Record)> {
    let mut tallies: Vec<Tally> = (0..partitions).map(Tally::new).collect();
    let mut told = Vec::new();
    let end = [Item::everywhere(Record::End)];
    for (position, item) in (5..).zip(log.iter().chain(&end)) {
        let record = match &item.record {
            Record::Exclusion(_) | Record::Lift(_) => {
                told.push((None, item.record.clone()));
                continue;
            }
            Record::Settings(settings) => {
                let record = Record::Settings(Settings { partitions, ..settings.clone() });
                told.push((None, record.clone()));
                record
            }
            record => record.clone(),
        };
        for (partition, tally) in (0..).zip(&mut tallies) {
            if item.goes_to(u64::from(partition), u64::from(partitions)) {
                let mut frames = Vec::new();
                // Positions of a log have gaps.
                tally.apply(position * 3, &record, &mut frames);
                told.extend(
                    frames.into_iter().map(|frame| (Some(partition), Record::Frame(frame))),
                );
            }
        }
    }
    told
}

/// The watermark after each record: none before the first.
pub(crate) fn watermarks(log: &[Item]) -> Vec<Option<Micros>> {
    let mut tally = Tally::new(0);
    let mut out = Vec::new();
    let marks = (0..).zip(log).map(|(position, item)| {
        if matches!(item.record, Record::Settings(_) | Record::Tick(_)) {
            tally.apply(position, &item.record, &mut out);
        }
        tally.watermark()
    });
    marks.collect()
}

/// As the tests read them.
pub(crate) fn at(instant: Micros) -> String {
    time::display(instant)[5..16].to_owned()
}
