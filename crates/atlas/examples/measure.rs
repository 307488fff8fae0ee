//! How fast the atlas is and how much it holds, by the processor's clock: `cargo run --profile dist
//! -p atlas --example measure [FILE]`.
//!
//! The points around cities are written to FILE as pairs of little-endian doubles (longitude,
//! latitude), for `tests/bench_atlas` to ask others.
#![allow(clippy::print_stdout, reason = "a tool run by hand")]

use std::hint::black_box;

use atlas::{Atlas, Meaning};

fn main() {
    let atlas = Atlas::new();
    let start = processor_seconds();
    black_box(atlas.locate_point(52.5, 13.4));
    println!(
        "first point {:.0} CPU-ms, resident {} MB",
        (processor_seconds() - start) * 1e3,
        resident()
    );
    let start = processor_seconds();
    black_box(atlas.locate_text("Berlin", Meaning::AuthorHome));
    println!(
        "first text {:.0} CPU-ms more, resident {} MB",
        (processor_seconds() - start) * 1e3,
        resident()
    );

    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let uniform: Vec<(f64, f64)> = (0..1_000_000)
        .map(|_| ((random() * 2.0 - 1.0).asin().to_degrees(), random() * 360.0 - 180.0))
        .collect();
    // Forty big cities, twenty kilometres around: as posts are.
    const CITIES: [(f64, f64); 40] = [
        (40.7, -74.0),
        (34.0, -118.2),
        (41.9, -87.6),
        (29.8, -95.4),
        (43.7, -79.4),
        (45.5, -73.6),
        (19.4, -99.1),
        (4.7, -74.1),
        (-12.0, -77.0),
        (-33.4, -70.6),
        (-34.6, -58.4),
        (-23.5, -46.6),
        (-22.9, -43.2),
        (51.5, -0.1),
        (48.9, 2.35),
        (50.85, 4.35),
        (52.4, 4.9),
        (52.5, 13.4),
        (48.1, 11.6),
        (48.2, 16.4),
        (41.9, 12.5),
        (40.4, -3.7),
        (41.4, 2.2),
        (41.0, 29.0),
        (55.8, 37.6),
        (50.5, 30.5),
        (30.0, 31.2),
        (6.5, 3.4),
        (-1.3, 36.8),
        (-26.2, 28.0),
        (25.2, 55.3),
        (24.9, 67.0),
        (28.6, 77.2),
        (19.1, 72.9),
        (13.0, 77.6),
        (23.8, 90.4),
        (13.8, 100.5),
        (-6.2, 106.8),
        (14.6, 121.0),
        (35.7, 139.7),
    ];
    let cities: Vec<(f64, f64)> = (0..1_000_000)
        .map(|n| {
            let (latitude, longitude) = CITIES[n % CITIES.len()];
            (latitude + (random() - 0.5) * 0.36, longitude + (random() - 0.5) * 0.36)
        })
        .collect();
    for (name, points) in [("uniform", &uniform), ("cities", &cities)] {
        let start = processor_seconds();
        let found = points
            .iter()
            .filter(|(latitude, longitude)| {
                black_box(atlas.locate_point(*latitude, *longitude)).is_located()
            })
            .count();
        let seconds = processor_seconds() - start;
        println!(
            "{name}: {:.2} M points/CPU-s, {:.0} ns each, {found} located",
            points.len() as f64 / seconds / 1e6,
            seconds / points.len() as f64 * 1e9
        );
    }
    let lines: Vec<&str> = include_str!("../../../tests/data/atlas/places.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split('\t').nth(2))
        .collect();
    let start = processor_seconds();
    let rounds = 200;
    for _ in 0..rounds {
        for line in &lines {
            black_box(atlas.locate_text(line, Meaning::AuthorHome));
        }
    }
    println!(
        "{:.0} k strings/CPU-s",
        (rounds * lines.len()) as f64 / (processor_seconds() - start) / 1e3
    );
    if let Some(file) = std::env::args().nth(1) {
        let bytes: Vec<u8> = cities
            .iter()
            .flat_map(|(latitude, longitude)| [longitude.to_le_bytes(), latitude.to_le_bytes()])
            .flatten()
            .collect();
        if let Err(error) = std::fs::write(&file, bytes) {
            println!("failed to write `{file}`: {error}");
        }
    }
}

/// What this thread has used of a processor so far, whatever else runs on the machine.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
}
