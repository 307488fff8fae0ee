//! The story of a seed: settings, feeds, and posts in which something happens.
//!
//! Duplicates, unequal records of one post, deletions, removals and late posts, none so late that
//! it concerns what may be final.

use record::kind::Kind;
use record::region::OwnRegion;
use record::time::{DAY, HOUR, MINUTE, SECOND, pane_start};
use record::{
    AccountAge, Author, DetectSettings, FeedSetting, Flags, Floors, Meaning, Micros, Op, Place,
    Post, PostId, Provenance, Settings, Tag, TopicMatch, TopicSetting, Voice,
};
use simulation::Random;

/// 2026-02-26T00:00:00Z: authors keep their names for as long as any story.
const BASE: Micros = 20_510 * DAY;
const PATHS: [&str; 5] = ["DE/DE-BE", "DE/DE-BE/MITTE", "DE/DE-BY", "US/US-TX", "ZZ"];
const HORIZON: Micros = 6 * HOUR;
/// A post that isn't late at all comes at most so much after it was made.
const DELAY_MAX: Micros = 2 * HOUR;

pub(super) struct Rng(Random);

impl Rng {
    pub(super) fn new(seed: u64) -> Rng {
        Rng(Random::new(seed))
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n.max(1)
    }

    pub(super) fn between(&mut self, from: Micros, to: Micros) -> Micros {
        from + self.below((to - from).max(1) as u64) as Micros
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn of_thousand(&mut self, calls: u64) -> bool {
        self.below(1000) < calls
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

pub(super) struct Story {
    pub(super) partitions: u32,
    pub(super) settings: Settings,
    pub(super) feeds: Vec<Lines>,
}

/// A feed and what it brings, nearly in the order of arrival; never nothing.
pub(super) struct Lines {
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone)]
pub(super) struct Line {
    pub(super) arrival: Micros,
    /// None: to every partition.
    pub(super) author: Option<u64>,
    pub(super) post: Post,
}

impl Story {
    pub(super) fn new(rng: &mut Rng) -> Story {
        let partitions = 1 + rng.below(3) as u32;
        let topics = vec![
            topic("flu", Kind::Disease, HOUR, &[2 * HOUR, 6 * HOUR]),
            topic("cough", Kind::Symptom, HOUR, &[3 * HOUR, DAY]),
        ];
        let topics: Vec<TopicSetting> =
            topics.into_iter().take(1 + rng.below(2) as usize).collect();
        let feeds: Vec<FeedSetting> = ["a", "b", "c"]
            .into_iter()
            .take(1 + rng.below(3) as usize)
            .map(|name| FeedSetting::new(name.to_owned(), name == "a" || rng.chance(70)))
            .collect();
        let floors = Floors { accounts: 1 + rng.below(2) as u32, posts: 1, ratio: 1.0 };
        let settings = Settings {
            horizon: HORIZON,
            partitions,
            topics,
            feeds: feeds.clone(),
            regions: vec![OwnRegion { code: "MITTE".to_owned(), parent: Some("DE-BE".to_owned()) }],
            windows: vec![HOUR],
            detect: DetectSettings {
                floors,
                guardband: HORIZON,
                method: rng.pick(&["eears", "ears-c1"]).to_owned(),
                ..DetectSettings::default()
            },
            author_epoch: 100 * DAY,
            ..Settings::default()
        };
        let all = lines(rng, &settings);
        let feeds = (0..).zip(feeds).map(|(nth, feed)| {
            let of_feed = |line: &&Line| line.post.feed == nth;
            Lines { name: feed.name, lines: all.iter().filter(of_feed).cloned().collect() }
        });
        Story { partitions, settings, feeds: feeds.collect() }
    }
}

fn topic(id: &str, kind: Kind, pane: Micros, windows: &[Micros]) -> TopicSetting {
    TopicSetting { id: id.to_owned(), name: id.to_owned(), kind, pane, windows: windows.to_vec() }
}

fn lines(rng: &mut Rng, settings: &Settings) -> Vec<Line> {
    let feeds = settings.feeds.len() as u64;
    let begin = BASE + rng.between(0, 2 * HOUR);
    let span = rng.between(14 * HOUR, 30 * HOUR);
    let posts = 30 + rng.below(60);
    let authors = 2 + rng.below(20);
    let outbreak = begin + rng.between(span / 3, span);
    let mut lines: Vec<Line> = Vec::new();
    for id in 0..posts.max(feeds) {
        let author = rng.below(authors);
        let in_outbreak = rng.chance(35);
        let arrival = if in_outbreak {
            outbreak + rng.between(0, 2 * HOUR)
        } else {
            begin + rng.between(0, span)
        };
        let arrival = pane_start(arrival, SECOND);
        let delay = match rng.below(12) {
            0 => rng.between(0, DELAY_MAX),
            1 => HORIZON + rng.between(1, HOUR),
            _ => 0,
        };
        // Each feed brings something.
        let feed = if id < feeds { id } else { rng.below(feeds) } as u16;
        let path = if in_outbreak { PATHS[0] } else { rng.pick(&PATHS) };
        let mut post = Post {
            event_time: pane_start(arrival - delay, SECOND),
            arrival,
            feed,
            author: Some(Author(author + 1)),
            places: vec![Place {
                path: path.to_owned(),
                meaning: Meaning::AuthorAt,
                provenance: Provenance::Given,
                confidence: 100,
            }],
            langs: rng.pick(&[
                vec![],
                vec!["de".to_owned()],
                vec!["de".to_owned(), "en".to_owned()],
            ]),
            tags: vec![Tag { key: "flu".to_owned(), written: "Flu".to_owned() }],
            flags: Flags { filtered: !settings.feeds[usize::from(feed)].whole, ..Flags::default() },
            ..blank(id)
        };
        for topic in &settings.topics {
            if in_outbreak || rng.chance(40) {
                let voice = rng.pick(&[Voice::Own, Voice::News, Voice::Other]);
                post.topics.push(TopicMatch {
                    id: topic.id.clone(),
                    voice,
                    keys: vec![topic.id.clone()],
                });
            }
        }
        lines.push(Line { arrival, author: Some(author), post: post.clone() });
        if delay > HORIZON {
            continue;
        }
        let later = pane_start(arrival + rng.between(1, HOUR), SECOND);
        match rng.below(14) {
            0 => lines.push(Line { arrival, author: Some(author), post }),
            1 => {
                post.arrival = later;
                post.places[0].path = rng.pick(&PATHS).to_owned();
                lines.push(Line { arrival: later, author: Some(author), post });
            }
            2 => {
                let gone = Post {
                    op: Op::Delete,
                    arrival: later,
                    event_time: later,
                    topics: vec![],
                    tags: vec![],
                    ..post
                };
                lines.push(Line { arrival: later, author: Some(author), post: gone });
            }
            3 => {
                let gone = Post {
                    op: Op::Delete,
                    id: PostId::NONE,
                    author: None,
                    arrival: later,
                    event_time: later,
                    topics: vec![],
                    tags: vec![],
                    ..post
                };
                lines.push(Line { arrival: later, author: None, post: gone });
            }
            _ => {}
        }
    }
    remove_some(rng, &mut lines, authors);
    // Not quite in order, as sources are.
    lines.sort_by_cached_key(|line| line.arrival + rng.between(0, 3 * MINUTE));
    lines
}

/// Removals of accounts, at instants for which no order of reading can decide whether a post of
/// theirs is final already.
fn remove_some(rng: &mut Rng, lines: &mut Vec<Line>, authors: u64) {
    for _ in 0..rng.below(3) {
        let author = rng.below(authors);
        let theirs: Vec<&Line> = lines.iter().filter(|line| line.author == Some(author)).collect();
        let Some(last) = theirs.iter().map(|line| line.arrival).max() else { continue };
        let arrival = last + rng.between(0, HOUR);
        let event = |line: &&Line| line.post.event_time;
        let undecided = theirs
            .iter()
            .map(event)
            .any(|event| (arrival - HORIZON - 2 * HOUR..arrival - 3 * HOUR).contains(&event));
        if !undecided {
            let post = Post {
                op: Op::Remove,
                id: PostId::NONE,
                alias: None,
                arrival,
                event_time: arrival,
                topics: vec![],
                ..theirs[0].post.clone()
            };
            lines.push(Line { arrival, author: Some(author), post });
        }
    }
}

fn blank(id: u64) -> Post {
    let print = Random::new(id).next_u64();
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId(u128::from(print) << 64 | u128::from(id + 1)),
        alias: Some(id + 1000),
        author: None,
        author_before: None,
        event_time: 0,
        arrival: 0,
        places: vec![],
        overlays: vec![],
        langs: vec![],
        tags: vec![],
        topics: vec![],
        link_domain: None,
        simhash: print % 5,
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}
