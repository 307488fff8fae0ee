//! What bounds the bytes of frames and chunks, and the number of cells.

use record::{Author, FeedSetting, FeedTick, Flags, Span, Tag, Tick, TopicSetting, Voice};

use super::examples::{NOVEMBER, settings};
use super::*;

/// One frame of all its parts.
fn joined(parts: &[Frame]) -> Frame {
    let mut whole = Frame { part: 1, last: true, ..parts[0].clone() };
    for part in &parts[1..] {
        whole.series.extend(part.series.iter().cloned());
        whole.tags.extend(part.tags.iter().cloned());
        whole.totals.extend(part.totals.iter().cloned());
        whole.coverage.extend(part.coverage.iter().cloned());
    }
    whole
}

fn bytes_of(part: &Frame) -> usize {
    Record::Frame(part.clone()).encode().len()
}

/// Numbered, with the last marked as such, and a series in one of them.
fn are_parts(parts: &[Frame]) -> bool {
    let numbered = (1..)
        .zip(parts)
        .all(|(number, part)| part.part == number && part.last == (number as usize == parts.len()));
    let series = || parts.iter().flat_map(|part| &part.series);
    let names: BTreeSet<(&str, &str)> =
        series().map(|change| (change.topic.as_str(), change.region.as_str())).collect();
    numbered && names.len() == series().count()
}

fn parts_are_the_frame(items: &[Item], mut rng: Rng) -> Result<(), String> {
    let part_bytes = rng.pick(&[400, 1_000, 4_000]);
    let (mut whole, mut cut) = (Tally::new(0), Tally { part_bytes, ..Tally::new(0) });
    let mut log: Vec<Record> = items.iter().map(|item| item.record.clone()).collect();
    log.push(Record::End);
    for (position, record) in (0..).zip(&log) {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        whole.apply(position, record, &mut one);
        cut.apply(position, record, &mut many);
        if many.is_empty() && one.is_empty() {
            continue;
        }
        if one != [joined(&many)] || !are_parts(&many) {
            return Err(format!("{many:?}\nare no parts of\n{one:?}"));
        }
        let changes = |part: &Frame| {
            part.series.len() + part.tags.len() + part.totals.len() + part.coverage.len()
        };
        if let Some(long) =
            many.iter().find(|part| bytes_of(part) > part_bytes && changes(part) > 1)
        {
            return Err(format!(
                "a part of {} bytes, {part_bytes} allowed: {long:?}",
                bytes_of(long)
            ));
        }
    }
    Ok(())
}

#[test]
fn parts_of_any_size_add_up_to_the_frame() {
    each_stream(
        400,
        |mut rng| {
            let posts = rng.pick(&[20, 60, 200]);
            World::new(rng).live(posts, true)
        },
        parts_are_the_frame,
    );
}

fn post(id: u64, author: u64, event_time: Micros, topics: &[&str], langs: &[String]) -> Post {
    let hit = |id: &&str| TopicMatch {
        id: (*id).to_owned(),
        voice: Voice::Other,
        keys: vec![(*id).to_owned()],
    };
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        // Zero represents no post.
        id: PostId(u128::from((id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(id)),
        alias: None,
        author: Some(Author(author.wrapping_mul(0xff51_afd7_ed55_8ccd))),
        author_before: None,
        event_time,
        arrival: event_time,
        places: Vec::new(),
        overlays: Vec::new(),
        langs: langs.to_vec(),
        tags: Vec::new(),
        topics: topics.iter().map(hit).collect(),
        link_domain: None,
        simhash: id,
        account_age: record::AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

fn tick(reached: Micros) -> Record {
    let feed = FeedTick {
        feed: "file".to_owned(),
        epoch: 1,
        from: NOVEMBER,
        reached,
        span: Span::Covered,
        ended: false,
    };
    Record::Tick(Tick { settings: 1, at: reached, feeds: vec![feed] })
}

/// Long enough that sixteen of them fill a sampled post.
fn long_tags(id: u64) -> Vec<Tag> {
    let tag = |nth: u64| format!("{:0>128}", id * 1_000 + nth);
    (0..256).map(|nth| Tag { key: tag(nth), written: tag(nth) }).collect()
}

#[test]
fn a_hostile_second_comes_out_in_parts_of_a_mebibyte() {
    let names: Vec<String> = (0..32).map(|nth| format!("topic-{nth}")).collect();
    let topic = |id: &String| TopicSetting {
        id: id.clone(),
        name: id.clone(),
        kind: Kind::Disease,
        pane: HOUR,
        windows: Kind::Disease.windows().to_vec(),
    };
    let settings = Settings {
        topics: names.iter().map(topic).collect(),
        feeds: vec![FeedSetting::new("file", true)],
        ..Settings::default()
    };
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let langs: Vec<String> = [
        "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt",
        "lv",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut tally = Tally::new(0);
    let mut parts = Vec::new();
    tally.apply(0, &Record::Settings(settings), &mut parts);
    for id in 0..200 {
        let one = Post { tags: long_tags(id), ..post(id, 1, NOVEMBER, &ids, &langs) };
        tally.apply(1 + id, &Record::Post(one), &mut parts);
    }
    tally.apply(300, &tick(NOVEMBER + MINUTE), &mut parts);
    assert!(parts.len() > 10 && are_parts(&parts), "{}", parts.len());
    assert!(parts.iter().all(|part| bytes_of(part) <= FRAME_PART_BYTES));
    let sampled = || {
        parts
            .iter()
            .flat_map(|part| &part.series)
            .flat_map(|change| &change.panes)
            .filter_map(|pane| pane.sample.as_ref())
    };
    assert!(sampled().count() == 32 * 18 && sampled().flatten().all(|post| post.tags.len() == 16));
    let snapshot = tally.snapshot();
    assert!(snapshot.fresh.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX));
}

#[test]
fn samples_that_do_not_fit_come_with_the_next_frames() {
    let mut tally = Tally::new(0);
    let mut frames = Vec::new();
    tally.apply(0, &Record::Settings(settings()), &mut frames);
    let base = pane_start(NOVEMBER, HOUR) + 40 * HOUR;
    let mut next = 1;
    for hour in 0..30 {
        for nth in 0..64 {
            let id = hour * 64 + nth;
            let event = base - hour as Micros * HOUR;
            let one = Post {
                tags: long_tags(id),
                arrival: base + MINUTE,
                ..post(id, nth, event, &["flu"], &[])
            };
            tally.apply(next, &Record::Post(one), &mut frames);
            next += 1;
        }
    }
    let mut sampled: BTreeMap<Micros, usize> = BTreeMap::new();
    for nth in 1..40 {
        frames.clear();
        tally.apply(next, &tick(base + 2 * MINUTE + nth * SECOND), &mut frames);
        next += 1;
        assert!(frames.len() == 1 && bytes_of(&frames[0]) <= FRAME_PART_BYTES);
        let world = frames[0].series.iter().filter(|change| change.region == WORLD);
        for pane in world.flat_map(|change| &change.panes) {
            let posts = pane.sample.as_ref().map_or(0, Vec::len);
            *sampled.entry(pane.start).or_default() += posts;
        }
        if frames[0].series.is_empty() {
            break;
        }
    }
    assert!(sampled.len() == 30 && sampled.values().all(|posts| *posts == 64), "{sampled:?}");
    assert!(frames[0].series.is_empty(), "panes come again and again");
}

/// Posts of four countries, their first levels and ten languages over a few hours.
fn scattered() -> Vec<Post> {
    let paths = ["DE/DE-BE", "DE/DE-BY", "FR/FR-IDF", "US/US-TX", "US/US-NY", "ES"];
    let langs = ["de", "en", "fr", "es", "it", "pt", "nl", "pl", "tr", "ja"];
    (0..600_u64)
        .map(|id| {
            let path = paths[(id % 6) as usize].to_owned();
            let place = record::Place {
                path,
                meaning: record::Meaning::AuthorAt,
                provenance: record::Provenance::Given,
                confidence: 100,
            };
            let event = NOVEMBER + (id as Micros / 60 % 5) * HOUR;
            let lang = langs[(id / 6 % 10) as usize].to_owned();
            Post {
                places: vec![place],
                arrival: NOVEMBER + 5 * HOUR,
                ..post(id, id % 40, event, &["flu"], &[lang])
            }
        })
        .collect()
}

/// (region, pane start) → (posts, authors), of what was counted.
type Cells = BTreeMap<(String, Micros), (u32, u32)>;

fn cells_of(cells_max: u64, records: &[Record]) -> (Tally, Cells) {
    let mut tally = Tally::new(0);
    let mut frames = Vec::new();
    tally.apply(0, &Record::Settings(Settings { cells_max, ..settings() }), &mut frames);
    for (position, record) in (1..).zip(records) {
        tally.apply(position, record, &mut frames);
    }
    tally.apply(9_999, &tick(NOVEMBER + 6 * HOUR), &mut frames);
    let mut cells = Cells::new();
    for change in
        frames.iter().flat_map(|frame| &frame.series).filter(|change| change.topic == "flu")
    {
        cells.extend(
            change
                .panes
                .iter()
                .map(|pane| ((change.region.clone(), pane.start), (pane.posts, pane.authors))),
        );
    }
    (tally, cells)
}

#[test]
fn at_the_bound_of_cells_overlays_go_first_world_and_countries_never() {
    let records: Vec<Record> = scattered().into_iter().map(Record::Post).collect();
    let (_, all) = cells_of(1_000, &records);
    let wide = |(region, _): &&(String, Micros)| region == WORLD || region.len() == 2;
    let first = |(region, _): &&(String, Micros)| region.contains('-');
    let beside = |(region, _): &&(String, Micros)| region.contains(':');
    assert_eq!(
        [
            all.keys().filter(wide).count(),
            all.keys().filter(first).count(),
            all.keys().filter(beside).count()
        ],
        [25, 25, 50]
    );
    for cells_max in [0, 10, 30, 60, 90, 111, 112] {
        let (tally, held) = cells_of(cells_max, &records);
        let only_wide = |cells: &Cells| {
            cells
                .iter()
                .filter(|(key, _)| wide(key))
                .map(|(key, cell)| (key.clone(), *cell))
                .collect::<Cells>()
        };
        assert_eq!(only_wide(&held), only_wide(&all), "{cells_max}");
        // A cell that is held has all its posts, and what was left out is counted.
        assert!(held.iter().all(|(key, cell)| all[key] == *cell), "{cells_max}");
        let missing: u64 = all
            .iter()
            .filter(|(key, _)| !held.contains_key(*key))
            .map(|(_, (posts, _))| u64::from(*posts))
            .sum();
        assert_eq!(tally.handled().cells, missing, "{cells_max}");
        assert_eq!(tally.cells(), (held.len() as u64, cells_max));
        assert!(held.len() as u64 <= cells_max + 25, "{cells_max}");
        let lost_first = all.keys().filter(first).count() - held.keys().filter(first).count();
        assert!(lost_first == 0 || held.keys().filter(beside).count() < 50, "{cells_max}");
    }
    let (tally, held) = cells_of(112, &records);
    assert_eq!((held.len(), tally.handled().cells), (100, 0));
}

#[test]
fn a_post_that_was_left_out_of_a_cell_is_not_taken_out_of_it() {
    let posts = scattered();
    let mut records: Vec<Record> = posts.iter().cloned().map(Record::Post).collect();
    let deletion =
        |post: &Post| Record::Post(Post { op: Op::Delete, topics: Vec::new(), ..post.clone() });
    records.extend(posts.iter().map(deletion));
    let (mut tally, held) = cells_of(60, &records);
    assert!(
        tally.handled().cells > 0 && held.values().all(|cell| *cell == (0, 0)),
        "{:?} {held:?}",
        tally.handled()
    );
    // Which posts were left out outlives a restart.
    let (_, before) = records.split_at(posts.len());
    let (mut stopped, _) = cells_of(60, &records[..posts.len()]);
    let mut store = Store::default();
    let mut restarted = store.restart(&mut stopped).unwrap();
    let mut frames = Vec::new();
    for (position, record) in (10_000..).zip(before) {
        restarted.apply(position, record, &mut frames);
    }
    assert_eq!(restarted.cells(), tally.cells());
    restarted.apply(20_000, &tick(NOVEMBER + 7 * HOUR), &mut frames);
    let panes = frames.iter().flat_map(|frame| &frame.series).flat_map(|change| &change.panes);
    assert!(
        panes.clone().count() > 0 && panes.clone().all(|pane| pane.posts == 0 && pane.authors == 0)
    );
    assert_eq!(tally.snapshot().manifest.chunks.len(), restarted.snapshot().manifest.chunks.len());
}

#[test]
fn two_hundred_thousand_accounts_are_cut_into_chunks() {
    let mut tally = Tally::new(0);
    let mut frames = Vec::new();
    tally.apply(0, &Record::Settings(settings()), &mut frames);
    for id in 0..200_000_u64 {
        let event = pane_start(NOVEMBER + id as Micros * (20 * HOUR / 200_000), SECOND);
        let one = Post {
            tags: vec![Tag { key: format!("t{id}"), written: format!("T{id}") }],
            ..post(id, id, event, &["flu"], &[])
        };
        tally.apply(1 + id, &Record::Post(one), &mut frames);
    }
    tally.apply(300_000, &tick(NOVEMBER + 20 * HOUR), &mut frames);
    let bytes =
        |snapshot: &Snapshot| snapshot.fresh.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
    let first = tally.snapshot();
    assert!(first.fresh.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX));
    assert!(bytes(&first) > 20 << 20, "{}", bytes(&first));
    // A minute later most of it is there already.
    for id in 200_000..200_100 {
        tally.apply(
            200_000 + id,
            &Record::Post(post(id, id, NOVEMBER + 20 * HOUR, &["flu"], &[])),
            &mut frames,
        );
    }
    tally.apply(500_000, &tick(NOVEMBER + 20 * HOUR + MINUTE), &mut frames);
    let second = tally.snapshot();
    assert!(second.fresh.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX));
    assert!(bytes(&second) < bytes(&first) / 8, "{} of {}", bytes(&second), bytes(&first));
    let all: BTreeMap<ChunkName, Vec<u8>> = first.fresh.into_iter().chain(second.fresh).collect();
    let chunks: Vec<Vec<u8>> =
        second.manifest.chunks.iter().map(|name| all[name].clone()).collect();
    let mut restored = Tally::restore(&second.manifest, &chunks).unwrap();
    assert_eq!(restored.snapshot().manifest.chunks, second.manifest.chunks);
}
