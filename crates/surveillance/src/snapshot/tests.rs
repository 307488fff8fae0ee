use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SMALL: Sizes = Sizes { min: 60, mean: 200, max: 400 };

type Map = BTreeMap<u32, Vec<u8>>;

fn write(map: &Map, known: &BTreeSet<ChunkName>, sizes: Sizes) -> Snapshot {
    let mut writer = Writer { sizes, ..Writer::new(known) };
    writer.put(&"before");
    writer.put_map(map);
    writer.put(map);
    writer.finish("test", 0, vec![1])
}

fn read(manifest: &Manifest, chunks: &[Vec<u8>]) -> Result<(String, Map, Map), RestoreError> {
    let mut reader = Reader::new("test", manifest, chunks)?;
    Ok((reader.take()?, reader.take_map()?, reader.take()?))
}

fn chunks_of(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let bytes: BTreeMap<ChunkName, Vec<u8>> = snapshot.fresh.iter().cloned().collect();
    snapshot.manifest.chunks.iter().map(|name| bytes[name].clone()).collect()
}

fn maps() -> impl Strategy<Value = Map> {
    // Some values are longer than several chunks.
    let value = prop_oneof![9 => 0..60_usize, 1 => 300..2_000_usize];
    prop::collection::btree_map(any::<u32>(), value.prop_map(|length| vec![7; length]), 0..200)
}

proptest! {
    #[test]
    fn what_was_put_comes_back_from_bounded_chunks(map in maps()) {
        let snapshot = write(&map, &BTreeSet::new(), SMALL);
        let chunks = chunks_of(&snapshot);
        prop_assert!(chunks.iter().all(|chunk| chunk.len() <= SMALL.max));
        prop_assert_eq!(read(&snapshot.manifest, &chunks), Ok(("before".to_owned(), map.clone(), map)));
    }

    #[test]
    fn a_cut_or_damaged_snapshot_is_refused(map in maps(), at: prop::sample::Index, value: u8) {
        let snapshot = write(&map, &BTreeSet::new(), SMALL);
        let mut chunks = chunks_of(&snapshot);
        let index = at.index(chunks.len());
        prop_assert_eq!(read(&snapshot.manifest, &chunks[..index]), Err(RestoreError::Missing { index }));
        // Even under a name that fits its content.
        let byte = at.index(chunks[index].len());
        chunks[index][byte] = value;
        let mut manifest = snapshot.manifest;
        manifest.chunks[index] = *blake3::hash(&chunks[index]).as_bytes();
        let _ = read(&manifest, &chunks);
    }
}

#[test]
fn a_changed_entry_renames_its_chunk_and_few_others() {
    let names = |map: &Map| -> BTreeSet<ChunkName> {
        let known = BTreeSet::new();
        let mut writer = Writer { sizes: Sizes { max: 4_000, ..SMALL }, ..Writer::new(&known) };
        writer.put_map(map).into_iter().collect()
    };
    let map: Map = (0..2_000_u32)
        .map(|key| (key.wrapping_mul(0x9e37_79b9), vec![1; key as usize % 20]))
        .collect();
    let before = names(&map);
    let mut renamed = 0;
    for (nth, key) in map.keys().enumerate().step_by(40) {
        let mut changed = map.clone();
        match nth % 3 {
            0 => drop(changed.remove(key)),
            1 => drop(changed.insert(*key, vec![2; 15])),
            _ => drop(changed.insert(key + 1, vec![2; 15])),
        }
        renamed += names(&changed).difference(&before).count();
    }
    assert!(before.len() > 50 && renamed < 150, "{renamed} of 50 times {}", before.len());
}

#[test]
fn an_unchanged_map_is_named_not_written() {
    let map: Map = (0..300).map(|key| (key, vec![1; 20])).collect();
    let first = write(&map, &BTreeSet::new(), SMALL);
    let known = first.manifest.chunks.iter().copied().collect();
    let second = write(&map, &known, SMALL);
    assert_eq!((second.manifest, second.fresh), (first.manifest.clone(), Vec::new()));
    let mut writer = Writer::new(&known);
    assert!(writer.keep(&first.manifest.chunks[..3]));
    assert!(!writer.keep(&[[0; 32]]));
    assert!(!writer.keep(&[]));
}

#[test]
fn a_long_part_is_cut_at_four_mebibytes() {
    for (length, chunks) in
        [(CHUNK_BYTES_MAX - 5, 1), (CHUNK_BYTES_MAX - 4, 2), (2 * CHUNK_BYTES_MAX, 3)]
    {
        let known = BTreeSet::new();
        let mut writer = Writer::new(&known);
        writer.put(&"x".repeat(length));
        let snapshot = writer.finish("test", 0, vec![]);
        let bytes = chunks_of(&snapshot);
        assert_eq!(bytes.len(), chunks, "{length}");
        assert!(bytes.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
        let text: String = Reader::new("test", &snapshot.manifest, &bytes).unwrap().take().unwrap();
        assert_eq!(text.len(), length);
    }
}
