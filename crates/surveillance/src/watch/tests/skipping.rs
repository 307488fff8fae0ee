//! Jumps of the watermark: what lies between is stepped over at once, and nothing that was counted
//! is lost.

use std::collections::BTreeSet;

use super::season::post;
use super::*;

fn days_of_posts(pipeline: &mut Pipeline, begin: Micros, days: i64) {
    for quarter in 0..days * 96 {
        let at = begin + quarter * 15 * MINUTE;
        pipeline.post(
            at,
            1_000 + quarter as u64 % 50,
            "DE/DE-BE",
            (quarter % 3 == 0).then_some("flu"),
        );
        if quarter % 5 == 0 {
            pipeline.post(at + MINUTE, quarter as u64 % 9, "FR", Some("claim"));
        }
    }
}

/// Posts of two days, silence until `until`, and posts of three days after it.
fn with_gap(mode: Mode, until: Micros, tick_every: Option<Micros>) -> Pipeline {
    let mut pipeline = Pipeline::new(mode, 2);
    days_of_posts(&mut pipeline, MONDAY, 2);
    let mut at = MONDAY + 2 * DAY;
    while let Some(every) = tick_every
        && at + every < until
    {
        at += every;
        pipeline.silence(at);
    }
    pipeline.silence(until);
    days_of_posts(&mut pipeline, until, 3);
    pipeline.end();
    pipeline
}

impl Pipeline {
    fn silence(&mut self, reached: Micros) {
        let feed = FeedTick {
            feed: "feed".into(),
            epoch: 1,
            from: self.reached,
            reached,
            span: Span::Silent,
            ended: false,
        };
        self.reached = reached;
        self.all(&Record::Tick(Tick { settings: 1, at: reached, feeds: vec![feed] }));
    }
}

/// Final counts that aren't zero.
fn finals(out: &[Record]) -> BTreeSet<Vec<u8>> {
    let is_final = |record: &&Record| match record {
        Record::Count(count) => count.last && count.posts > 0,
        Record::Total(total) => total.last && total.posts > 0,
        Record::TagCount(tag) => tag.last && tag.posts > 0,
        _ => false,
    };
    out.iter().filter(is_final).map(|record| drive::unversioned(record).encode()).collect()
}

/// Verdicts of windows that end in a span, without their revisions.
fn verdicts(out: &[Record], from: Micros, to: Micros) -> BTreeSet<Vec<u8>> {
    let of_span = |record: &Record| match record {
        Record::Verdict(verdict)
            if verdict.window_end >= from
                && verdict.window_end < to
                && verdict.stage == Stage::Final =>
        {
            Some(
                Record::Verdict(Verdict {
                    version: Version::default(),
                    revision: 0,
                    ..verdict.clone()
                })
                .encode(),
            )
        }
        _ => None,
    };
    out.iter().filter_map(of_span).collect()
}

#[test]
fn a_jump_loses_no_count_and_changes_no_verdict_after_it() {
    for mode in [Mode::Live, Mode::AsLive, Mode::Batch] {
        // Up to the longest window and the horizon nothing is skipped; beyond it what lies between
        // is.
        for (days, skips) in [(3, false), (8, false), (40, true), (90, true)] {
            let until = MONDAY + (2 + days) * DAY + 7 * MINUTE;
            let (jumped, stepped) =
                (with_gap(mode, until, None), with_gap(mode, until, Some(20 * HOUR)));
            assert_eq!(stepped.watch.skipped_windows(), 0, "no step is that long");
            assert_eq!(jumped.watch.skipped_windows() > 0, skips, "{days} days");
            assert!(jumped.watch.skipped_windows() < (days * 24 * 2 + 40) as u64);
            assert!(finals(&jumped.out) == finals(&stepped.out), "{mode:?}, {days} days");
            let end = until + 30 * DAY;
            assert!(
                verdicts(&jumped.out, until, end) == verdicts(&stepped.out, until, end),
                "{mode:?}, {days} days"
            );
            let before = MONDAY + 2 * DAY;
            assert!(
                verdicts(&jumped.out, 0, before) == verdicts(&stepped.out, 0, before),
                "{mode:?}, {days} days"
            );
            if !skips {
                assert!(
                    verdicts(&jumped.out, 0, end) == verdicts(&stepped.out, 0, end),
                    "{mode:?}, {days} days"
                );
            }
        }
    }
}

#[test]
fn a_jump_of_73_years_takes_no_longer_than_one_of_three_months() {
    let frames = |years: i64| {
        let pipeline = with_gap(Mode::Live, MONDAY + years * 365 * DAY, None);
        assert!(pipeline.watch.skipped_windows() > (years * 8000) as u64);
        pipeline.out.len()
    };
    // As many records leave watch, so as many panes were handled.
    let (year, years) = (frames(1), frames(73));
    assert!(years.abs_diff(year) < year / 50, "{year} records after a year, {years} after 73");
}

#[test]
fn posts_that_came_within_one_jump_are_all_counted() {
    let counted = |jumps: bool| {
        let mut pipeline = Pipeline::new(Mode::AsLive, 1);
        pipeline.tick(MONDAY);
        let times = (0..30).map(|nth| MONDAY + nth * 11 * DAY + 5 * HOUR);
        for (nth, at) in times.enumerate() {
            if !jumps {
                let mut reached = pipeline.reached;
                while reached + DAY < at {
                    reached += DAY;
                    pipeline.tick(reached);
                }
            }
            let mut post = post(nth as u64, nth as u64, "DE/DE-BE");
            (post.event_time, post.arrival) = (at, at);
            post.topics = vec![TopicMatch {
                id: "flu".into(),
                voice: Voice::Other,
                keys: vec!["flu".into()],
            }];
            pipeline.apply(0, &Record::Post(post));
            pipeline.position += 1;
        }
        // One frame has all of them.
        pipeline.tick(MONDAY + 400 * DAY);
        pipeline.end();
        finals(&pipeline.out)
    };
    let counted_at_once = counted(true);
    assert!(counted_at_once.len() > 30 * 4);
    assert_eq!(counted_at_once, counted(false));
}
