//! Points against `geo`, an independent oracle: rings are put together again from the arcs and
//! requested one by one.

use std::collections::BTreeMap;

use geo::coordinate_position::{CoordPos, coord_pos_relative_to_ring};
use geo::{Coord, LineString};

use super::{brief, setting};
use crate::grid::{Arc, Grid, NOWHERE, Point};
use crate::{Atlas, borders, bundle};

#[test]
fn special_points() {
    let atlas = Atlas::new();
    let cases = [
        (0.0, 0.0, "ZZ null-island"),
        (-0.0, 0.0, "ZZ null-island"),
        (f64::NAN, 1.0, "ZZ not-a-number"),
        (1.0, f64::INFINITY, "ZZ not-a-number"),
        (90.001, 0.0, "ZZ out-of-range"),
        (0.0, -180.5, "ZZ out-of-range"),
        (0.0, 5.0, "ZZ at-sea"),
        (90.0, 0.0, "ZZ at-sea"),
        (-90.0, 0.0, "AQ"),
        (-90.0, 180.0, "AQ"),
        (-86.0, -120.0, "AQ"),
        (67.5, 180.0, "RU-CHU"),
        (67.5, -180.0, "RU-CHU"),
        (67.5, 179.999999, "RU-CHU"),
        (52.52, 13.405, "DE-BE"),
        (31.0, -99.0, "US-TX"),
        (-23.55, -46.63, "BR-SP"),
        (51.5, -0.12, "GB-ENG"),
        (55.95, -3.19, "GB-SCT"),
        (48.8566, 2.3522, "FR-IDF"),
        (-21.1, 55.5, "RE"),
        (18.4, -66.1, "PR"),
        (22.3, 114.17, "HK"),
        (25.03, 121.56, "TW-TPE"),
        (44.95, 34.1, "UA-43"),
        (44.6, 33.5, "UA-40"),
        (48.2, 16.37, "AT-9"),
        (35.68, 139.69, "JP-13"),
        (-1.29, 36.82, "KE-30"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .map(|(latitude, longitude, expected)| {
            (
                format!("({latitude}, {longitude}): {expected}"),
                brief(&atlas.locate_point(*latitude, *longitude)),
                expected,
            )
        })
        .filter(|(_, found, expected)| found != *expected)
        .map(|(case, found, _)| format!("{case}, found {found}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_vatican_is_itself_or_italy_by_its_border() {
    let atlas = Atlas::new();
    let located = atlas.locate_point(41.9022, 12.4539);
    assert!(
        ["VA near-border", "IT-62 near-border"].contains(&brief(&located).as_str()),
        "{located:?}"
    );
}

#[test]
fn the_sea_belongs_to_the_coast_for_ten_kilometres() {
    let atlas = Atlas::new();
    // West of Lisbon's coast.
    assert_eq!(brief(&atlas.locate_point(38.70, -9.55)), "PT-11 coastal");
    assert_eq!(brief(&atlas.locate_point(38.70, -10.5)), "ZZ at-sea");
    // Across the 180th meridian, off Fiji's Taveuni.
    assert!(atlas.locate_point(-16.8, 179.999).is_located());
}

/// The oracle: signed rings by region, bucketed by degree.
struct Oracle {
    rings: Vec<(u16, bool, LineString<f64>)>,
    buckets: BTreeMap<(i32, i32), Vec<u32>>,
}

impl Oracle {
    fn new(arcs: &[Arc]) -> Oracle {
        let mut edges: BTreeMap<u16, Vec<(Point, Point)>> = BTreeMap::new();
        for arc in arcs {
            for pair in arc.points.windows(2) {
                for (region, from, to) in
                    [(arc.left, pair[0], pair[1]), (arc.right, pair[1], pair[0])]
                {
                    if region != NOWHERE {
                        edges.entry(region).or_default().push((from, to));
                    }
                }
            }
        }
        let mut rings = Vec::new();
        for (region, edges) in edges {
            for ring in rings_of(&edges) {
                let counter_clockwise = borders::twice_area(&ring) > 0;
                let line: LineString<f64> = ring
                    .iter()
                    .chain(ring.first())
                    .map(|point| Coord { x: f64::from(point.x), y: f64::from(point.y) })
                    .collect();
                rings.push((region, counter_clockwise, line));
            }
        }
        let mut buckets: BTreeMap<(i32, i32), Vec<u32>> = BTreeMap::new();
        for (n, (_, _, line)) in rings.iter().enumerate() {
            let degree = |value: f64| (value / 100_000.0).floor() as i32;
            let (mut west, mut east, mut south, mut north) =
                (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
            for coordinate in line.coords() {
                west = west.min(degree(coordinate.x));
                east = east.max(degree(coordinate.x));
                south = south.min(degree(coordinate.y));
                north = north.max(degree(coordinate.y));
            }
            for y in south..=north {
                for x in west..=east {
                    buckets.entry((y, x)).or_default().push(n as u32);
                }
            }
        }
        Oracle { rings, buckets }
    }

    fn first(&self, point: Point) -> Option<u16> {
        let coordinate = Coord { x: f64::from(point.x), y: f64::from(point.y) };
        let bucket =
            self.buckets.get(&(point.y.div_euclid(100_000), point.x.div_euclid(100_000)))?;
        let mut inside: BTreeMap<u16, i32> = BTreeMap::new();
        for n in bucket {
            let (region, counter_clockwise, line) = &self.rings[*n as usize];
            match coord_pos_relative_to_ring(coordinate, line) {
                CoordPos::OnBoundary => *inside.entry(*region).or_default() += 1_000_000,
                CoordPos::Inside => {
                    *inside.entry(*region).or_default() += if *counter_clockwise { 1 } else { -1 }
                }
                CoordPos::Outside => {}
            }
        }
        inside.into_iter().find(|(_, count)| *count > 0).map(|(region, _)| region)
    }
}

/// Simple rings from directed edges: a walk that cuts off a ring each time it comes back to a
/// point.
fn rings_of(edges: &[(Point, Point)]) -> Vec<Vec<Point>> {
    let mut next: BTreeMap<Point, Vec<Point>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(*from).or_default().push(*to);
    }
    let mut rings = Vec::new();
    let starts: Vec<Point> = next.keys().copied().collect();
    for start in starts {
        let mut path: Vec<Point> = vec![start];
        let mut place: BTreeMap<Point, usize> = BTreeMap::from([(start, 0)]);
        while let Some(to) = path.last().and_then(|end| next.get_mut(end)).and_then(Vec::pop) {
            match place.get(&to) {
                Some(&since) => {
                    let ring: Vec<Point> = path[since..].to_vec();
                    for point in &ring[1..] {
                        place.remove(point);
                    }
                    path.truncate(since + 1);
                    rings.push(ring);
                }
                None => {
                    place.insert(to, path.len());
                    path.push(to);
                }
            }
        }
        assert_eq!(path.len(), 1, "an open ring");
    }
    rings
}

/// Latitude and longitude of big ones, some of them by a border or the sea.
const CITIES: [(f64, f64); 16] = [
    (40.7, -74.0),
    (31.76, -106.48),
    (32.53, -117.03),
    (19.4, -99.1),
    (-25.52, -54.6),
    (-34.6, -58.4),
    (51.5, -0.1),
    (47.56, 7.59),
    (48.15, 17.1),
    (41.0, 29.0),
    (30.0, 31.2),
    (-4.3, 15.3),
    (28.6, 77.2),
    (22.5, 114.06),
    (1.3, 103.8),
    (35.7, 139.7),
];

#[test]
fn points_agree_with_geo() {
    let count = setting("ATLAS_POINTS", 100_000);
    let arcs = borders::read(&crate::BUNDLE.section(bundle::ARCS).unwrap()).unwrap();
    let grid = Grid::new(arcs.iter());
    let oracle = Oracle::new(&arcs);
    let vertices: Vec<Point> = arcs.iter().flat_map(|arc| arc.points.iter().copied()).collect();
    let mut seed = 20_261_122_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut between = move |low: i32, high: i32| {
        low + (random() % (i64::from(high) - i64::from(low) + 1) as u64) as i32
    };
    let (mut hits, mut wrong) = (0, Vec::new());
    for n in 0..count {
        let vertex = vertices[between(0, vertices.len() as i32 - 1) as usize];
        let near = |reach: i32, between: &mut dyn FnMut(i32, i32) -> i32| Point {
            x: (vertex.x + between(-reach, reach)).clamp(-18_000_000, 18_000_000),
            y: (vertex.y + between(-reach, reach)).clamp(-9_000_000, 9_000_000),
        };
        let point = match n % 9 {
            // Uniform on the map, around cities, around coasts and borders, close to them, a step
            // next to, on vertices, on cell lines, next to vertices in line, on the edges of the
            // map.
            0 => Point { x: between(-18_000_000, 18_000_000), y: between(-9_000_000, 9_000_000) },
            1 => near(30_000, &mut between),
            2 => near(200, &mut between),
            3 => near(1, &mut between),
            4 => vertex,
            5 => Point {
                x: (vertex.x / 25_000) * 25_000
                    + between(-1, 1).clamp(-1, 1) * i32::from(vertex.x.abs() < 17_900_000),
                y: vertex.y,
            },
            8 => {
                let (latitude, longitude) = CITIES[n / 9 % CITIES.len()];
                Point {
                    x: (longitude * 100_000.0) as i32 + between(-20_000, 20_000),
                    y: (latitude * 100_000.0) as i32 + between(-20_000, 20_000),
                }
            }
            6 => {
                Point { x: vertex.x, y: (vertex.y + between(-50, 50)).clamp(-9_000_000, 9_000_000) }
            }
            _ => [
                Point { x: 18_000_000, y: vertex.y },
                Point { x: -18_000_000, y: vertex.y },
                Point { x: vertex.x, y: -9_000_000 },
                Point { x: vertex.x, y: 9_000_000 },
                Point { x: 0, y: vertex.y },
                Point { x: vertex.x, y: 0 },
                Point { x: vertex.x, y: (vertex.y / 25_000) * 25_000 },
            ][between(0, 6) as usize],
        };
        let (found, expected) = (grid.first(point), oracle.first(point));
        hits += usize::from(found.is_some());
        if found != expected {
            wrong.push((point, found, expected));
        }
    }
    println!("{count} points, {hits} in a region, {} disagreements", wrong.len());
    assert!(hits > count / 3);
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn all_regions_of_a_point_begin_with_the_first() {
    let arcs = borders::read(&crate::BUNDLE.section(bundle::ARCS).unwrap()).unwrap();
    let grid = Grid::new(arcs.iter());
    for arc in arcs.iter().step_by(50) {
        let all = grid.all(arc.points[0]);
        assert_eq!(all.first().copied(), grid.first(arc.points[0]));
        for region in [arc.left, arc.right] {
            assert!(region == NOWHERE || all.contains(&region));
        }
    }
}
