//! Posts in, tables out: the pipeline of tally and watch without a journal.

use std::fmt::Write;

use expect_test::{Expect, expect};
use record::kind::Kind;
use record::time::{HOUR, MINUTE, SECOND, pane_border};
use record::*;

use super::*;
use crate::Tally;

mod counts;
mod drive;
mod judged;
mod model;
mod order;
mod parts;
mod predicted;
mod published;
mod season;
mod skipping;
mod totals;
mod withheld;

/// 2026-01-05T00:00:00Z, a Monday.
const MONDAY: Micros = 1_767_571_200 * SECOND;

struct Pipeline {
    tallies: Vec<Tally>,
    watch: Watch,
    position: Position,
    taken: Position,
    out: Vec<Record>,
    reached: Micros,
    /// Frames are lost on their way to watch.
    loses: bool,
}

fn settings(partitions: u32) -> Settings {
    let topic = |id: &str, kind: Kind| TopicSetting {
        id: id.into(),
        name: id.into(),
        kind,
        pane: kind.pane(),
        windows: kind.windows().to_vec(),
    };
    Settings {
        partitions,
        topics: vec![
            topic("flu", Kind::Disease),
            topic("hiv", Kind::Sensitive),
            topic("claim", Kind::Narrative),
        ],
        feeds: vec![FeedSetting::new("feed", true)],
        ..Settings::default()
    }
}

impl Pipeline {
    fn new(mode: Mode, partitions: u32) -> Pipeline {
        Pipeline::of(mode, settings(partitions))
    }

    fn of(mode: Mode, settings: Settings) -> Pipeline {
        let partitions = settings.partitions;
        let mut pipeline = Pipeline {
            tallies: (0..partitions).map(Tally::new).collect(),
            watch: Watch::new(mode),
            position: 0,
            taken: 0,
            out: Vec::new(),
            reached: MONDAY,
            loses: false,
        };
        let settings = Record::Settings(settings);
        pipeline.watch.apply(0, &settings, &mut pipeline.out).unwrap();
        pipeline.taken = 1;
        pipeline.all(&settings);
        pipeline
    }

    fn apply(&mut self, partition: u32, record: &Record) {
        let mut frames = Vec::new();
        self.tallies[partition as usize].apply(self.position, record, &mut frames);
        for frame in frames {
            if !self.loses {
                self.watch.apply(self.taken, &Record::Frame(frame), &mut self.out).unwrap();
            }
            self.taken += 1;
        }
    }

    fn all(&mut self, record: &Record) {
        for partition in 0..self.tallies.len() as u32 {
            self.apply(partition, record);
        }
        self.position += 1;
    }

    fn tick(&mut self, reached: Micros) {
        let feed = FeedTick {
            feed: "feed".into(),
            epoch: 1,
            from: self.reached,
            reached,
            span: Span::Covered,
            ended: false,
        };
        self.reached = reached;
        self.all(&Record::Tick(Tick { settings: 1, at: reached, feeds: vec![feed] }));
    }

    /// A post by an author in a region; ticks come before it, each ten seconds of arrival.
    fn post(&mut self, at: Micros, author: u64, path: &str, topic: Option<&str>) {
        self.post_late(at, at, author, path, topic);
    }

    /// The same for one that arrives after it was written.
    fn post_late(
        &mut self,
        event_time: Micros,
        at: Micros,
        author: u64,
        path: &str,
        topic: Option<&str>,
    ) {
        let border = at.div_euclid(10 * SECOND) * 10 * SECOND;
        if border > self.reached {
            self.tick(border);
        }
        let topics = topic
            .map(|id| TopicMatch { id: id.into(), voice: Voice::Other, keys: vec![id.into()] })
            .into_iter()
            .collect();
        let post = Post {
            settings: 1,
            feed: 0,
            op: Op::Create,
            id: PostId(u128::from(event_time as u64) << 64 | u128::from(author) << 32 | 1),
            alias: None,
            author: Some(Author(author)),
            author_before: None,
            event_time,
            arrival: at,
            places: vec![Place {
                path: path.into(),
                meaning: Meaning::AuthorAt,
                provenance: Provenance::Given,
                confidence: 100,
            }],
            overlays: vec![],
            langs: vec!["de".into()],
            tags: vec![],
            topics,
            link_domain: None,
            simhash: 0,
            account_age: AccountAge::Unknown,
            flags: Flags::default(),
            sealed_link: None,
        };
        self.apply((author % self.tallies.len() as u64) as u32, &Record::Post(post));
        self.position += 1;
    }

    fn end(&mut self) {
        let reached = self.reached;
        self.tick(reached);
        self.all(&Record::End);
    }
}

fn alerts(out: &[Record]) -> String {
    let mut text = String::new();
    for record in out {
        if let Record::Alert(alert) = record {
            let time = |instant: Micros| time::display(instant)[5..19].to_owned();
            writeln!(
                text,
                "{} r{} {} {:?} {} {} fired={} observed={} expected={:.1} bound={:.1}",
                alert.topic,
                alert.revision,
                alert.region,
                alert.regions,
                alert.stage.name(),
                alert.state.name(),
                time(alert.fired_at),
                alert.observed,
                alert.expected,
                alert.upperbound
            )
            .unwrap();
        }
    }
    text
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

/// A fortnight without a post on flu, other posts coming in all the while.
fn quiet_fortnight(pipeline: &mut Pipeline) -> Micros {
    let posts = 14 * 24 * 4;
    for quarter in 0..posts {
        pipeline.post(
            MONDAY + quarter * 15 * MINUTE,
            1_000 + quarter as u64 % 50,
            "DE/DE-BE",
            None,
        );
    }
    MONDAY + 14 * DAY
}

#[test]
fn ten_posts_after_a_quiet_fortnight_fire_early_and_are_confirmed() {
    let told = [1, 3].map(|partitions| {
        let mut pipeline = Pipeline::new(Mode::AsLive, partitions);
        let noon = quiet_fortnight(&mut pipeline) + 12 * HOUR;
        for author in 0..10 {
            pipeline.post(noon + author as i64 * MINUTE, author, "DE/DE-BE", Some("flu"));
        }
        pipeline.post(noon + 5 * HOUR, 1_000, "DE/DE-BE", None);
        pipeline.end();
        alerts(&pipeline.out)
    });
    assert_eq!(told[0], told[1]);
    // The fifth post makes it certain: the bound lies below, but an alert takes five posts.
    check(
        &told[0],
        &expect![[r#"
        flu r0 DE-BE ["001", "DE", "DE-BE", "lang:de"] early open fired=01-19T12:04:00 observed=5 expected=0.0 bound=1.3
        flu r1 DE-BE ["001", "DE", "DE-BE", "lang:de"] closed open fired=01-19T12:04:00 observed=10 expected=0.0 bound=1.3
        flu r2 DE-BE ["001", "DE", "DE-BE", "lang:de"] final open fired=01-19T12:04:00 observed=10 expected=0.0 bound=1.3
    "#]],
    );
}

#[test]
fn frames_that_were_deleted_unread_stop_watch_unless_it_is_told_to_go_on_and_then_their_time_is_not_covered()
 {
    for partitions in [1, 3] {
        let mut pipeline = Pipeline::new(Mode::AsLive, partitions);
        let noon = quiet_fortnight(&mut pipeline) + 12 * HOUR;
        pipeline.tick(noon);
        pipeline.loses = true;
        for author in 0..10 {
            pipeline.post(noon + author as i64 * MINUTE, author, "DE/DE-BE", Some("flu"));
        }
        pipeline.tick(noon + 3 * HOUR);
        pipeline.loses = false;
        let mut frames = Vec::new();
        let tick = FeedTick {
            feed: "feed".into(),
            epoch: 1,
            from: pipeline.reached,
            reached: noon + 4 * HOUR,
            span: Span::Covered,
            ended: false,
        };
        let tick = Record::Tick(Tick { settings: 1, at: noon + 4 * HOUR, feeds: vec![tick] });
        pipeline.tallies[0].clone().apply(pipeline.position, &tick, &mut frames);
        let unread = pipeline.watch.clone().apply(
            pipeline.taken,
            &Record::Frame(frames.remove(0)),
            &mut Vec::new(),
        );
        assert!(matches!(unread, Err(WatchError::Gap { .. })), "{unread:?}");

        pipeline.watch.skip(pipeline.taken, Some(settings(partitions)), &mut pipeline.out).unwrap();
        let told_before = pipeline.out.len();
        for quarter in 1..=4 * 24 * 4 {
            pipeline.post(
                noon + 3 * HOUR + quarter * 15 * MINUTE,
                1_000 + quarter as u64 % 50,
                "DE/DE-BE",
                None,
            );
            if quarter % 8 == 0 {
                pipeline.post(
                    noon + 3 * HOUR + quarter * 15 * MINUTE + MINUTE,
                    500 + quarter as u64 % 3,
                    "DE/DE-BE",
                    Some("flu"),
                );
            }
        }
        pipeline.end();
        let mut answers = BTreeMap::new();
        for record in &pipeline.out[told_before..] {
            if let Record::Verdict(verdict) = record
                && (verdict.topic.as_str(), verdict.region.as_str()) == ("flu", "DE")
            {
                answers.insert((verdict.window_end - noon) / HOUR, verdict.reason);
            }
        }
        // The gap ends with the hour in which reading goes on; a day later no window has any part
        // of it.
        let silent = |hours: std::ops::Range<i64>| {
            answers.range(hours).all(|(_, reason)| *reason == Some(Reason::Coverage))
        };
        assert!(silent(-30..24), "{answers:?}");
        assert!(
            answers.range(30..).count() > 40
                && answers.range(30..).all(|(_, reason)| *reason != Some(Reason::Coverage)),
            "{answers:?}"
        );
        let lacking = |record: &&Record| matches!(record, Record::Coverage(row) if row.share == 0.0 && row.pane_start == noon + HOUR);
        assert!(
            pipeline.out.iter().any(|record| lacking(&record)),
            "the table of coverage says so too"
        );
    }
}
