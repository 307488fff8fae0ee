//! The default detector in the pipeline: what it fires on, what it keeps quiet about, and what its
//! alerts can be computed from.

use super::*;

fn by_default(mode: Mode, partitions: u32) -> Pipeline {
    let mut settings = settings(partitions);
    settings.detect.method = "nb-predictive".to_owned();
    Pipeline::of(mode, settings)
}

fn last_alerts(out: &[Record]) -> Vec<Alert> {
    let mut last: BTreeMap<String, Alert> = BTreeMap::new();
    for record in out {
        if let Record::Alert(alert) = record {
            last.insert(alert.id.clone(), alert.clone());
        }
    }
    last.into_values().collect()
}

/// Quarter by quarter, `posts(quarter)` posts that are on nothing.
fn days(pipeline: &mut Pipeline, from: i64, to: i64, path: &str, posts: u64) {
    for quarter in from * 96..to * 96 {
        for nth in 0..posts {
            let at = MONDAY + quarter * 15 * MINUTE + nth as i64 * SECOND;
            pipeline.post(at, 1_000 + (quarter as u64 * 7 + nth) % 400, path, None);
        }
    }
}

#[test]
fn ten_posts_after_a_quiet_fortnight_fire_early_and_can_be_computed_again() {
    let told = [1, 3].map(|partitions| {
        let mut pipeline = by_default(Mode::AsLive, partitions);
        let noon = quiet_fortnight(&mut pipeline) + 12 * HOUR;
        for author in 0..10 {
            pipeline.post(noon + author as i64 * MINUTE, author, "DE/DE-BE", Some("flu"));
        }
        pipeline.post(noon + 5 * HOUR, 1_000, "DE/DE-BE", None);
        pipeline.end();
        pipeline.out
    });
    assert_eq!(alerts(&told[0]), alerts(&told[1]));
    let alerts = last_alerts(&told[0]);
    let [alert] = &alerts[..] else { panic!("{alerts:#?}") };
    assert_eq!(
        (alert.region.as_str(), alert.stage, alert.state, alert.observed),
        ("DE-BE", Stage::Final, AlertState::Open, 10)
    );
    // The fifth post is the first above the floors; the bound was passed before.
    assert_eq!(alert.fired_at, MONDAY + 14 * DAY + 12 * HOUR + 4 * MINUTE);
    let grounds = &alert.grounds;
    assert!(!grounds.provisional && grounds.reason == Some(Reason::NoDenominator), "{grounds:?}");
    let judged = crate::recompute(alert, &[]).unwrap();
    assert_eq!((judged.pvalue, judged.expected), (grounds.pvalue, Some(alert.expected)));
    assert_eq!(judged.upperbound, Some(alert.upperbound));
    assert!(
        grounds.expected_low.unwrap() < alert.expected
            && alert.expected < grounds.expected_high.unwrap()
    );
    assert!(grounds.baseline_to.unwrap() <= alert.window_end - 48 * HOUR);
    assert!(alert.recurrence.unwrap() > 30.0);
}

#[test]
fn a_new_installation_learns_for_three_days_and_is_provisional_for_a_fortnight() {
    let mut pipeline = by_default(Mode::AsLive, 1);
    for day in [1, 5, 15] {
        let from = if day == 1 {
            0
        } else if day == 5 {
            2
        } else {
            6
        };
        days(&mut pipeline, from, day, "DE/DE-BE", 1);
        for author in 0..if day == 1 { 2 } else { 30 } {
            pipeline.post(
                MONDAY + day * DAY + author as i64 * MINUTE,
                author,
                "DE/DE-BE",
                Some("flu"),
            );
        }
    }
    days(&mut pipeline, 16, 18, "DE/DE-BE", 1);
    pipeline.end();
    let verdicts = pipeline.out.iter().filter_map(|record| {
        if let Record::Verdict(verdict) = record { Some(verdict) } else { None }
    });
    for verdict in verdicts {
        let age = verdict.window_end - MONDAY;
        assert_eq!(verdict.provisional, age < 14 * DAY, "{verdict:?}");
        assert_eq!(verdict.reason == Some(Reason::Learning), age < 3 * DAY, "{verdict:?}");
        assert!(age >= 3 * DAY || verdict.alarm.is_none());
    }
    let raised: Vec<(bool, Micros)> = last_alerts(&pipeline.out)
        .iter()
        .map(|alert| (alert.grounds.provisional, (alert.fired_at - MONDAY) / DAY))
        .collect();
    assert_eq!(raised.iter().min_by_key(|(_, day)| *day), Some(&(true, 5)), "{raised:?}");
}

#[test]
fn a_platform_that_grows_tenfold_raises_nothing() {
    let mut pipeline = by_default(Mode::Batch, 1);
    for day in 0..30 {
        // From day 20 on ten times the posts, on the topic as on everything.
        let times = if day < 20 { 1 } else { 10 };
        days(&mut pipeline, day, day + 1, "DE/DE-BE", 8 * times);
        for author in 0..6 * times {
            let at = MONDAY + day * DAY + 23 * HOUR + 45 * MINUTE + author as i64 * SECOND;
            pipeline.post(at + 30 * SECOND, 500_000 + author, "DE/DE-BE", Some("flu"));
        }
    }
    pipeline.end();
    assert_eq!(alerts(&pipeline.out), "");
    let has_denominator = |record: &&Record| matches!(record, Record::Verdict(verdict) if verdict.window_end > MONDAY + 25 * DAY && verdict.reason != Some(Reason::NoDenominator));
    assert!(pipeline.out.iter().filter(has_denominator).count() > 100);
}

#[test]
fn a_region_with_few_posts_grows_with_its_country() {
    let mut pipeline = by_default(Mode::Batch, 1);
    for hour in 0..30 * 24 {
        // From day 20 on ten times as much of everything.
        let times = if hour < 20 * 24 { 1 } else { 10 };
        let at = MONDAY + hour * HOUR;
        for nth in 0..40 * times {
            pipeline.post(
                at + nth as i64 * SECOND,
                1_000 + (hour as u64 * 7 + nth) % 4_000,
                "DE/DE-BE",
                None,
            );
        }
        // A post an hour: too few to tell by themselves how many there are; on the topic one in
        // twelve.
        for nth in 0..times {
            let topic = (hour % 12 == 5).then_some("flu");
            pipeline.post(
                at + 30 * MINUTE + nth as i64 * SECOND,
                100_000 + hour as u64 * 10 + nth,
                "DE/DE-HB",
                topic,
            );
        }
    }
    pipeline.end();
    assert_eq!(alerts(&pipeline.out), "");
    let last = |region: &str| {
        let mut verdicts = pipeline.out.iter().filter_map(|record| {
            if let Record::Verdict(verdict) = record { Some(verdict) } else { None }
        });
        verdicts
            .rfind(|verdict| verdict.region == region && verdict.window_end == MONDAY + 26 * DAY)
            .cloned()
            .unwrap()
    };
    let small = last("DE-HB");
    assert_eq!((small.observed, small.reason), (20, None), "{small:?}");
    assert!(small.expected.unwrap() > 8.0, "{small:?}");
}

#[test]
fn posts_that_come_after_an_outage_raise_nothing_early() {
    let mut pipeline = by_default(Mode::AsLive, 2);
    let mut author = 0;
    let mut quarter_of = |pipeline: &mut Pipeline, quarter: i64, arrives: Option<Micros>| {
        for nth in 0..12 {
            author += 1;
            let written = MONDAY + quarter * 15 * MINUTE + nth * MINUTE;
            // Now and then one more than usual: some windows have half as many again as others.
            let topic = (nth == 3 && quarter % 4 == 0
                || nth == 4 && quarter / 96 % 3 == 0 && quarter % 8 == 0)
                .then_some("flu");
            pipeline.post_late(
                written,
                arrives.map_or(written, |at| at + nth * SECOND),
                author,
                "DE/DE-BE",
                topic,
            );
        }
    };
    let (from, to) = (17 * 96 + 30, 17 * 96 + 110);
    for quarter in 0..from {
        quarter_of(&mut pipeline, quarter, None);
    }
    // Twenty hours are read within as many minutes, in the order in which they were written.
    let back = MONDAY + to * 15 * MINUTE;
    for quarter in from..to {
        quarter_of(&mut pipeline, quarter, Some(back + (quarter - from) * 15 * SECOND));
    }
    for quarter in to + 2..to + 96 * 3 {
        quarter_of(&mut pipeline, quarter, None);
    }
    pipeline.end();
    assert_eq!(alerts(&pipeline.out), "");
}

#[test]
fn a_revision_joins_the_alert_of_its_neighbours() {
    let mut pipeline = by_default(Mode::AsLive, 1);
    let noon = quiet_fortnight(&mut pipeline) + 12 * HOUR;
    for author in 0..12 {
        pipeline.post(noon + author as i64 * MINUTE, author, "DE/DE-BE", Some("flu"));
    }
    // A day and a half later, when windows of the day before are judged for the last time.
    for hour in 1..120 {
        pipeline.post(noon + hour * HOUR, 5_000 + hour as u64, "DE/DE-BE", None);
    }
    pipeline.end();
    assert_eq!(last_alerts(&pipeline.out).len(), 1, "{}", alerts(&pipeline.out));
}

/// Twenty accounts a day, give or take some, and from the thirteenth week on half as many again;
/// all posts stay as they are.
fn slow_rise(pipeline: &mut Pipeline) {
    for day in 0..119_i64 {
        let accounts = 20 + (day * 7) % 11 - 5 + if day < 84 { 0 } else { 10 };
        for quarter in 0..96 {
            let at = MONDAY + day * DAY + quarter * 15 * MINUTE;
            for nth in 0..8 {
                pipeline.post(
                    at + nth * SECOND,
                    1_000 + (quarter * 8 + nth) as u64,
                    "DE/DE-BE",
                    None,
                );
            }
            if quarter < accounts {
                pipeline.post(
                    at + 5 * MINUTE,
                    5_000 + (day * 96 + quarter) as u64,
                    "DE/DE-BE",
                    Some("flu"),
                );
            }
        }
    }
    pipeline.end();
}

#[test]
fn weeks_add_up_to_a_slow_rise_that_no_day_shows() {
    let told: Vec<Pipeline> = [(Mode::Batch, 1), (Mode::AsLive, 1), (Mode::AsLive, 3)]
        .into_iter()
        .map(|(mode, partitions)| {
            let mut settings = settings(partitions);
            settings.detect.method = "nb-predictive".to_owned();
            // Authors have one name throughout.
            settings.author_epoch = 300 * DAY;
            let mut pipeline = Pipeline::of(mode, settings);
            slow_rise(&mut pipeline);
            pipeline
        })
        .collect();
    let finals = |pipeline: &Pipeline| -> BTreeMap<(String, String, Micros), Verdict> {
        let verdicts = pipeline.out.iter().filter_map(|record| {
            if let Record::Verdict(verdict) = record { Some(verdict) } else { None }
        });
        let finals = verdicts.filter(|verdict| verdict.stage == Stage::Final);
        let plain = |verdict: &Verdict| Verdict {
            revision: 0,
            version: Version::default(),
            ..verdict.clone()
        };
        finals
            .map(|verdict| {
                (
                    (verdict.topic.clone(), verdict.region.clone(), verdict.window_end),
                    plain(verdict),
                )
            })
            .collect()
    };
    assert_eq!(finals(&told[0]), finals(&told[1]));
    assert_eq!(finals(&told[0]), finals(&told[2]));
    let risen: Vec<Verdict> = finals(&told[0])
        .into_values()
        .filter(|verdict| verdict.reason == Some(Reason::SlowRise) && verdict.region == "DE-BE")
        .collect();
    let first = risen.first().unwrap_or_else(|| panic!("{}", alerts(&told[0].out)));
    assert!((MONDAY + 85 * DAY..MONDAY + 113 * DAY).contains(&first.window_end), "{first:?}");
    for verdict in &risen {
        assert!(
            verdict.alarm == Some(true)
                && verdict.window_end % DAY == 0
                && verdict.window_length == 7 * DAY,
            "{verdict:?}"
        );
        assert!(
            f64::from(verdict.observed) > verdict.upperbound.unwrap()
                && verdict.pvalue.unwrap() <= 0.01,
            "{verdict:?}"
        );
    }
    for pipeline in &told {
        for alert in last_alerts(&pipeline.out)
            .iter()
            .filter(|alert| alert.grounds.reason == Some(Reason::SlowRise))
        {
            let judged = crate::recompute(alert, &[]).unwrap();
            assert_eq!((judged.alarm, judged.upperbound), (Some(true), Some(alert.upperbound)));
            assert_eq!(judged.expected, Some(alert.expected));
        }
    }
}

/// Twelve accounts a day, and from the fifth week on forty.
#[test]
fn a_rise_that_stays_is_one_alert_with_one_expectation() {
    let mut pipeline = by_default(Mode::Batch, 1);
    for day in 0..42_i64 {
        let accounts = if day < 28 { 12 } else { 40 };
        for quarter in 0..96 {
            let at = MONDAY + day * DAY + quarter * 15 * MINUTE;
            for nth in 0..8 {
                let author = 1_000 + (quarter * 8 + nth) as u64;
                pipeline.post(at + nth * SECOND, author, "DE/DE-BE", None);
            }
            if quarter < accounts {
                let author = 5_000 + (day * 96 + quarter) as u64;
                pipeline.post(at + 5 * MINUTE, author, "DE/DE-BE", Some("flu"));
            }
        }
    }
    pipeline.end();
    let judged = |day: i64| {
        let of_day = |record: &Record| match record {
            Record::Verdict(verdict) => (verdict.region == "DE-BE"
                && verdict.window_end == MONDAY + day * DAY)
                .then(|| verdict.clone()),
            _ => None,
        };
        pipeline.out.iter().filter_map(of_day).next_back().unwrap()
    };
    for day in 30..42 {
        let verdict = judged(day);
        assert_eq!(verdict.alarm, Some(true), "{day}: {verdict:?}");
        assert!(verdict.expected.unwrap() < 18.0, "{day}: {verdict:?}");
    }
    let raised = last_alerts(&pipeline.out);
    assert_eq!(raised.len(), 1, "{}", alerts(&pipeline.out));
    let again = crate::recompute(&raised[0], &[]).unwrap();
    assert_eq!((again.alarm, again.expected), (Some(true), Some(raised[0].expected)));
}
