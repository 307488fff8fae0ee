//! The parts of tally against brute force: distinct authors, spans, identities.

use super::*;
use crate::tally::clock::Spans;
use crate::tally::distinct::Distinct;

/// (author, pane, window starts for which the name is in force)
type Counted = (u64, Pane, std::ops::Range<Pane>);

fn authors(counted: &[Counted], length: Pane, end: Pane) -> u32 {
    let window = end - length;
    let in_window =
        |(_, pane, starts): &&Counted| (window..end).contains(pane) && starts.contains(&window);
    counted.iter().filter(in_window).map(|(author, _, _)| *author).collect::<BTreeSet<u64>>().len()
        as u32
}

#[test]
fn distinct_authors_of_every_window_are_those_of_brute_force_through_additions_and_removals() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let lengths: Vec<Pane> = [1, 2, 3, 7, 24].into_iter().filter(|_| rng.chance(60)).collect();
        let border = rng.below(30) as Pane;
        let (panes, authors_max) = (1 + rng.below(40), 1 + rng.below(4));
        let mut distinct = Distinct::default();
        let mut counted: Vec<Counted> = Vec::new();
        // What each window was when it was last stated to have changed.
        let mut touched: BTreeMap<(usize, Pane), u32> = BTreeMap::new();
        for _ in 0..rng.below(60) {
            let mut spans = Vec::new();
            let mut touch =
                |index: usize, first: Pane, last: Pane| spans.push((index, first, last));
            if rng.chance(30) && !counted.is_empty() {
                let at = rng.below(counted.len() as u64) as usize;
                let (author, pane, starts) = counted.swap_remove(at);
                distinct.remove(author, pane, &lengths, &starts, &mut touch);
            } else {
                // A name is in force on one side of a border of epochs, always the same one.
                let author = rng.below(authors_max);
                let pane = rng.below(panes) as Pane;
                let starts =
                    if author.is_multiple_of(2) { Pane::MIN..border } else { border..Pane::MAX };
                distinct.add(author, pane, &lengths, &starts, &mut touch);
                counted.push((author, pane, starts));
            }
            for (index, first, last) in spans {
                for end in first..=last {
                    touched.insert((index, end), authors(&counted, lengths[index], end));
                }
            }
        }
        for (index, length) in lengths.iter().enumerate() {
            for end in -2..=70 {
                let expected = authors(&counted, *length, end);
                assert_eq!(
                    distinct.authors(index, end),
                    expected,
                    "seed {seed}, {length} panes to {end}, {counted:?}"
                );
                assert_eq!(
                    touched.get(&(index, end)).copied().unwrap_or(0),
                    expected,
                    "seed {seed}: {length} panes to {end} changed untold"
                );
            }
        }
        // Of what windows that begin later hold, nothing is forgotten.
        let longest = lengths.iter().copied().max().unwrap_or(1);
        let final_before = rng.below(40) as Pane;
        distinct.forget(final_before - longest, final_before);
        let mut later = counted.clone();
        for _ in 0..10 {
            let (author, pane) = (rng.below(authors_max), final_before + rng.below(30) as Pane);
            let starts =
                if author.is_multiple_of(2) { Pane::MIN..border } else { border..Pane::MAX };
            distinct.add(author, pane, &lengths, &starts, &mut |_, _, _| {});
            later.push((author, pane, starts));
        }
        for (index, length) in lengths.iter().enumerate() {
            for end in final_before..=final_before + 60 {
                assert_eq!(
                    distinct.authors(index, end),
                    authors(&later, *length, end),
                    "seed {seed}, forgotten, {length} panes to {end}"
                );
            }
        }
    }
}

#[test]
fn distinct_is_empty_when_all_is_taken_back() {
    let mut distinct = Distinct::default();
    for author in 0..3 {
        for pane in [5, 7, 30] {
            distinct.add(author, pane, &[1, 24], &(Pane::MIN..Pane::MAX), &mut |_, _, _| {});
        }
    }
    for author in 0..3 {
        for pane in [7, 30, 5] {
            distinct.remove(author, pane, &[1, 24], &(Pane::MIN..Pane::MAX), &mut |_, _, _| {});
        }
    }
    assert!(distinct.is_empty());
}

#[test]
fn spans_hold_the_union_of_what_was_added() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let mut spans = Spans::default();
        let mut held = [false; 40];
        for _ in 0..rng.below(12) {
            let from = rng.below(39) as usize;
            let to = from + 1 + rng.below(39 - from as u64) as usize;
            spans.add(from as Micros, to as Micros);
            held[from..to].fill(true);
        }
        for from in 0..40 {
            for to in from..=40 {
                let expected = held[from..to].iter().filter(|held| **held).count() as Micros;
                assert_eq!(
                    spans.within(from as Micros, to as Micros),
                    expected,
                    "seed {seed}: [{from}, {to})"
                );
            }
        }
        let before = rng.below(40) as usize;
        spans.forget(before as Micros);
        let expected = held[before..].iter().filter(|held| **held).count() as Micros;
        assert_eq!(
            spans.within(before as Micros, 40),
            expected,
            "seed {seed}: from {before} after forgetting"
        );
    }
}

const BASE: Micros = 20_470 * 24 * HOUR;

fn post(print: u64, event_time: Micros, arrival: Micros) -> Post {
    let mut post = examples::read_post("post 1 ann 09:00");
    post.id = PostId(u128::from(print) << 64 | 1);
    (post.event_time, post.arrival) = (event_time, arrival);
    post
}

/// As identities must be: a map.
#[derive(Default)]
struct Model(BTreeMap<u64, (Micros, Micros, String)>);

fn agree(identities: &Identities, model: &Model, prints: impl Iterator<Item = u64>, story: &str) {
    for print in prints {
        let expected =
            model.0.get(&print).map(|(event, arrival, path)| (*event, *arrival, path.clone()));
        // Wherever it is looked for first.
        for hint in [BASE, BASE + 5 * HOUR, BASE + 99 * HOUR] {
            let found = identities
                .find(print, hint)
                .map(|known| (known.event_time, known.arrival, identities.basis(&known).path));
            assert_eq!(found, expected, "{story}: print {print:#x}");
        }
    }
}

#[test]
fn identities_find_exactly_what_they_hold_through_merges_of_runs_and_growth_of_the_filter() {
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let mut identities = Identities::default();
        let mut model = Model::default();
        // Uniform prints, and those at the edges where a guess by value goes wrong.
        let cluster = seed % 3;
        let mut edge = 0;
        let mut print = |rng: &mut Rng| {
            edge += 1;
            match (cluster, edge % 2) {
                (0, _) => rng.next(),
                (1, 0) => edge / 2,
                (1, _) => u64::MAX - edge / 2,
                (_, 0) => rng.next() >> 40,
                _ => u64::MAX / 2 + (rng.next() >> 50),
            }
        };
        for print in [0, u64::MAX, 1, u64::MAX - 1, u64::MAX / 2] {
            let post = post(print, BASE, BASE);
            assert!(identities.insert(&post, 1));
            model.0.insert(print, (BASE, BASE, "ZZ".to_owned()));
        }
        for nth in 0..9000_i64 {
            let print = print(&mut rng);
            if model.0.contains_key(&print) {
                continue;
            }
            // Most in one hour, so that its run is merged several times.
            let event = if nth % 8 == 0 {
                BASE + rng.between(0, 4 * HOUR)
            } else {
                BASE + rng.between(0, HOUR)
            };
            let event = pane_start(event, SECOND);
            let arrival = event + rng.pick(&[0, -AHEAD_MAX, 36 * HOUR, SECOND]);
            let mut post = post(print, event, arrival);
            post.places[0].path = rng.pick(&["ZZ".to_owned(), "DE/DE-BE".to_owned()]);
            assert!(identities.insert(&post, 1));
            model.0.insert(print, (event, arrival, post.path().to_owned()));
            if nth % 20 == 0 {
                let gone = *model.0.keys().nth(rng.below(model.0.len() as u64) as usize).unwrap();
                let (event, _, _) = model.0.remove(&gone).unwrap();
                identities.remove(gone, pane_start(event, HOUR));
                agree(&identities, &model, [gone, print].into_iter(), "just removed and added");
            }
        }
        let strangers: Vec<u64> =
            (0..3000).map(|_| rng.next() >> rng.below(60)).chain([0, 1, u64::MAX]).collect();
        let all: Vec<u64> = model.0.keys().copied().chain(strangers).collect();
        agree(&identities, &model, all.iter().copied(), "after 9,000 posts");

        // Through a snapshot.
        let mut restored = Identities::default();
        let nothing = BTreeSet::new();
        let mut writer = Writer::new(&nothing);
        identities.blocks_mut().values_mut().for_each(|block| block.store(&mut writer));
        let snapshot = writer.finish("identities", 0, vec![]);
        let bytes: BTreeMap<ChunkName, Vec<u8>> = snapshot.fresh.into_iter().collect();
        let chunks: Vec<Vec<u8>> =
            snapshot.manifest.chunks.iter().map(|name| bytes[name].clone()).collect();
        let mut reader = Reader::new("identities", &snapshot.manifest, &chunks).unwrap();
        for hour in identities.blocks_mut().keys() {
            restored.restore(*hour, &mut reader).unwrap();
        }
        restored.restored();
        agree(&restored, &model, all.iter().copied(), "after a restart");

        // An hour is forgotten whole, and only that.
        restored.forget(BASE + HOUR, |_, _| true);
        model.0.retain(|_, (event, _, _)| *event >= BASE + HOUR);
        agree(&restored, &model, all.into_iter(), "after an hour was forgotten");
    }
}

#[test]
fn times_too_far_apart_to_be_held_are_refused_and_the_widest_that_fit_are_exact() {
    let mut identities = Identities::default();
    let widest = ((1 << 28) - 1) * SECOND - AHEAD_MAX;
    for (print, delay, holds) in [
        (1, widest, true),
        (2, widest + SECOND, false),
        (3, -AHEAD_MAX, true),
        (4, -AHEAD_MAX - SECOND, false),
    ] {
        let post = post(print, BASE + HOUR - SECOND, BASE + HOUR - SECOND + delay);
        assert_eq!(identities.insert(&post, 1), holds, "delay {delay}");
        let found = identities.find(print, BASE).map(|known| (known.event_time, known.arrival));
        assert_eq!(found, holds.then_some((post.event_time, post.arrival)));
    }
}
