//! Makes the shapes that the page draws from the borders of the bundle, by hand:
//!
//! `cargo run --profile ci -p atlas --example write_map -- crates/web/map`
//!
//! `world.json`: every country. `first.txt`: a country a line, its code, a tab, its first levels.
//! Both are TopoJSON, simplified after Visvalingam and Whyatt (1993) on shared arcs, so that
//! neighbours stay neighbours. Same bundle, same bytes.
//! The page thereby shows the very regions that posts are placed in, and `web` need not know
//! `atlas`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool run by hand: a surprise in its inputs must stop it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use atlas::borders;
use atlas::bundle::{self, Bundle};
use atlas::grid::{Arc, NOWHERE, Point};
use atlas::regions::{self, Region};
use serde_json::{Value, json};

const UNITS: f64 = 100_000.0;
/// Of the world: steps of a hundredth of a degree, details below a third of a degree square are
/// left out.
const WORLD_STEP: f64 = 0.02;
const WORLD_AREA: f64 = 0.015;
/// Of a country: steps and details as parts of its extent, so that each is as fine as it is drawn.
const FIRST_STEPS: f64 = 640.0;
const FIRST_DETAIL: f64 = 72.0;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: write_map FOLDER");
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/world.bin")).unwrap();
    let bundle = Bundle::new(&file).unwrap();
    let regions = regions::read(&bundle.section(bundle::REGIONS).unwrap()).unwrap();
    let arcs = borders::read(&bundle.section(bundle::ARCS).unwrap()).unwrap();

    let country_of = |region: u16| {
        if region == NOWHERE { NOWHERE } else { regions[usize::from(region)].country }
    };
    let countries = relabelled(&arcs, country_of);
    let world = topology(&countries, &regions, |code| code != "AQ", WORLD_STEP, WORLD_AREA);
    std::fs::write(format!("{folder}/world.json"), format!("{world}\n")).unwrap();

    let mut first = String::new();
    for (number, country) in
        regions.iter().enumerate().filter(|(_, region)| region.is_country() && region.code != "AQ")
    {
        let number = number as u16;
        let inside = |region: u16| if country_of(region) == number { region } else { NOWHERE };
        let own = relabelled(&arcs, inside);
        let extent = extent(&own);
        if own.is_empty() || extent == 0.0 {
            continue;
        }
        let detail = extent / FIRST_DETAIL;
        let shapes =
            topology(&own, &regions, |_| true, extent / FIRST_STEPS, detail * detail / 2.0);
        writeln!(first, "{}\t{shapes}", country.code).unwrap();
    }
    std::fs::write(format!("{folder}/first.txt"), &first).unwrap();
    println!(
        "{} countries, {} bytes of first levels",
        regions.iter().filter(|region| region.is_country()).count(),
        first.len()
    );
}

/// Arcs between what regions become; what ends up the same on both sides is no border, and what it
/// parted is joined.
fn relabelled(arcs: &[Arc], label: impl Fn(u16) -> u16) -> Vec<Arc> {
    let arcs = arcs.iter().map(|arc| Arc {
        left: label(arc.left),
        right: label(arc.right),
        points: arc.points.clone(),
    });
    joined(arcs.filter(|arc| arc.left != arc.right).collect())
}

fn reversed(arc: &Arc) -> Arc {
    Arc { left: arc.right, right: arc.left, points: arc.points.iter().rev().copied().collect() }
}

/// Joins arcs end to end where exactly two of the same sides meet.
fn joined(mut arcs: Vec<Arc>) -> Vec<Arc> {
    loop {
        let mut ends: BTreeMap<Point, Vec<usize>> = BTreeMap::new();
        for (at, arc) in arcs.iter().enumerate() {
            ends.entry(arc.points[0]).or_default().push(at);
            ends.entry(*arc.points.last().unwrap()).or_default().push(at);
        }
        let mut taken = BTreeSet::new();
        let mut fresh = Vec::new();
        for (point, meeting) in &ends {
            let [one, other] = meeting[..] else { continue };
            if one == other || taken.contains(&one) || taken.contains(&other) {
                continue;
            }
            let towards = if arcs[one].points.last() == Some(point) {
                arcs[one].clone()
            } else {
                reversed(&arcs[one])
            };
            let away = if arcs[other].points[0] == *point {
                arcs[other].clone()
            } else {
                reversed(&arcs[other])
            };
            if (towards.left, towards.right) != (away.left, away.right) {
                continue;
            }
            let mut whole = towards;
            whole.points.extend(&away.points[1..]);
            taken.extend([one, other]);
            fresh.push(whole);
        }
        if fresh.is_empty() {
            return arcs;
        }
        fresh.extend(
            arcs.into_iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, arc)| arc),
        );
        arcs = fresh;
    }
}

/// The greater side of the box around the largest ring and what lies near it, in degrees: far
/// islands don't make a country large.
fn extent(arcs: &[Arc]) -> f64 {
    let side = |arc: &Arc| {
        let xs = arc.points.iter().map(|point| point.x);
        let ys = arc.points.iter().map(|point| point.y);
        (xs.clone().max().unwrap() - xs.min().unwrap())
            .max(ys.clone().max().unwrap() - ys.min().unwrap())
    };
    f64::from(arcs.iter().map(side).max().unwrap_or(0)) / UNITS * 1.5
}

fn topology(
    arcs: &[Arc],
    regions: &[Region],
    keep: impl Fn(&str) -> bool,
    step: f64,
    area_min: f64,
) -> Value {
    // Whole rings too small to be seen go, unless they are all that a region has.
    let mut largest: BTreeMap<u16, f64> = BTreeMap::new();
    let ring_area = |arc: &Arc| {
        let closed = arc.points[0] == *arc.points.last().unwrap();
        closed.then(|| {
            borders::twice_area(&arc.points).abs() as f64 / 2.0 / UNITS / UNITS
                * stretch(arc.points[0])
        })
    };
    for arc in arcs {
        for side in [arc.left, arc.right] {
            let known = largest.entry(side).or_default();
            *known = known.max(ring_area(arc).unwrap_or(f64::INFINITY));
        }
    }
    let seen = |arc: &&Arc| match ring_area(arc) {
        Some(area) => {
            area >= area_min * 2.0
                || [arc.left, arc.right]
                    .iter()
                    .any(|side| *side != NOWHERE && largest[side] <= area)
        }
        None => true,
    };
    let mut lines: Vec<Vec<(i64, i64)>> = Vec::new();
    let mut sides: Vec<(u16, u16)> = Vec::new();
    for arc in arcs.iter().filter(seen) {
        let wanted = |side: u16| side != NOWHERE && keep(&regions[usize::from(side)].code);
        if !wanted(arc.left) && !wanted(arc.right) {
            continue;
        }
        let points = simplified(&arc.points, area_min);
        let on_grid = |point: &Point| {
            (
                (f64::from(point.x) / UNITS / step).round() as i64,
                (f64::from(point.y) / UNITS / step).round() as i64,
            )
        };
        let mut line: Vec<(i64, i64)> = points.iter().map(on_grid).collect();
        line.dedup();
        if line.len() < 2 {
            line.push(line[0]);
        }
        lines.push(line);
        sides.push((arc.left, arc.right));
    }
    let mut geometries = Vec::new();
    let numbers: BTreeSet<u16> = sides
        .iter()
        .flat_map(|(left, right)| [*left, *right])
        .filter(|side| *side != NOWHERE)
        .collect();
    for number in numbers {
        let code = &regions[usize::from(number)].code;
        if !keep(code) {
            continue;
        }
        // TopoJSON and the page's projections want the inside to the right.
        let directed = sides.iter().zip(0_i64..).filter_map(|((left, right), at)| {
            match (*left == number, *right == number) {
                (false, true) => Some(at),
                (true, false) => Some(!at),
                _ => None,
            }
        });
        let rings = rings(directed.collect(), &lines);
        let rings: Vec<_> = rings
            .into_iter()
            .filter(|ring| ring.iter().map(|at| line_of(&lines, *at).len() - 1).sum::<usize>() > 2)
            .collect();
        if !rings.is_empty() {
            geometries.push(json!({ "type": "Polygon", "id": code, "arcs": rings }));
        }
    }
    let deltas: Vec<Vec<[i64; 2]>> = lines
        .iter()
        .map(|line| {
            let mut last = (0, 0);
            line.iter()
                .map(|point| {
                    let delta = [point.0 - last.0, point.1 - last.1];
                    last = *point;
                    delta
                })
                .collect()
        })
        .collect();
    let step = (step * 1e6).round() / 1e6;
    json!({
        "type": "Topology",
        "transform": { "scale": [step, step], "translate": [0, 0] },
        "objects": { "regions": { "type": "GeometryCollection", "geometries": geometries } },
        "arcs": deltas,
    })
}

fn line_of(lines: &[Vec<(i64, i64)>], at: i64) -> Vec<(i64, i64)> {
    if at >= 0 {
        lines[at as usize].clone()
    } else {
        lines[!at as usize].iter().rev().copied().collect()
    }
}

/// Directed arcs, end to end, each ring as often as it closes.
fn rings(directed: Vec<i64>, lines: &[Vec<(i64, i64)>]) -> Vec<Vec<i64>> {
    let mut from: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for at in directed {
        from.entry(line_of(lines, at)[0]).or_default().push(at);
    }
    let mut rings = Vec::new();
    while let Some((start, next)) =
        from.iter_mut().find_map(|(start, open)| Some((*start, open.pop()?)))
    {
        let mut ring = vec![next];
        let mut end = *line_of(lines, next).last().unwrap();
        while end != start {
            let Some(next) = from.get_mut(&end).and_then(Vec::pop) else { break };
            ring.push(next);
            end = *line_of(lines, next).last().unwrap();
        }
        rings.push(ring);
    }
    rings
}

/// How much a square degree there is of one at the equator.
fn stretch(point: Point) -> f64 {
    (f64::from(point.y) / UNITS).to_radians().cos().max(0.05)
}

/// Leaves out the point whose triangle with its neighbours is least, until none is under
/// `area_min`; ends and the 180th meridian stay.
fn simplified(points: &[Point], area_min: f64) -> Vec<Point> {
    let fixed = |at: usize| at == 0 || at + 1 == points.len() || points[at].x.abs() == 18_000_000;
    let closed = points[0] == points[points.len() - 1];
    let least = if closed { 5 } else { 2 };
    let mut before: Vec<usize> = (0..points.len()).map(|at| at.saturating_sub(1)).collect();
    let mut after: Vec<usize> =
        (0..points.len()).map(|at| (at + 1).min(points.len() - 1)).collect();
    let area = |a: Point, b: Point, c: Point| {
        let (bx, by) = (f64::from(b.x - a.x) / UNITS, f64::from(b.y - a.y) / UNITS);
        let (cx, cy) = (f64::from(c.x - a.x) / UNITS, f64::from(c.y - a.y) / UNITS);
        (bx * cy - by * cx).abs() / 2.0 * stretch(b)
    };
    // Areas as whole numbers, so that the order depends on nothing else.
    let measured = |before: &[usize], after: &[usize], at: usize| {
        (area(points[before[at]], points[at], points[after[at]]) * 1e12) as u64
    };
    let mut areas: Vec<u64> = (0..points.len())
        .map(|at| if fixed(at) { u64::MAX } else { measured(&before, &after, at) })
        .collect();
    let mut queue: BTreeSet<(u64, usize)> = areas
        .iter()
        .enumerate()
        .map(|(at, area)| (*area, at))
        .filter(|one| one.0 < u64::MAX)
        .collect();
    let mut left = points.len();
    while let Some((found, at)) = queue.pop_first() {
        if left <= least || found as f64 > area_min * 1e12 {
            break;
        }
        left -= 1;
        areas[at] = 0;
        let (one, other) = (before[at], after[at]);
        after[one] = other;
        before[other] = one;
        for near in [one, other] {
            if !fixed(near) {
                queue.remove(&(areas[near], near));
                // Never less than what was left out beside it.
                areas[near] = measured(&before, &after, near).max(found);
                queue.insert((areas[near], near));
            }
        }
    }
    let mut kept = vec![points[0]];
    let mut at = 0;
    while after[at] != at {
        at = after[at];
        kept.push(points[at]);
    }
    kept
}
