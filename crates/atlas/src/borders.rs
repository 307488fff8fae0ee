//! Borders of the bundle: arcs between regions, their encoding, and the conversion from polygons.
//!
//! An edge that two polygons of one region share cancels out: that is all there is to dissolving.
//! Knows polygons and region numbers only.

use std::collections::{BTreeMap, HashMap};

use crate::bundle::{BundleError, Reader, Writer};
use crate::grid::{Arc, NOWHERE, Point};

/// An edge from its lesser to its greater end, and what lies at its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    from: Point,
    to: Point,
    left: u16,
    right: u16,
}

/// Collects the rings of regions and gives the arcs between them.
#[derive(Debug, Default)]
pub struct Dissolve {
    edges: HashMap<(Point, Point), Vec<(u16, i32)>>,
}

impl Dissolve {
    /// Adds a ring; `hole` rings take away. The ring's own winding doesn't matter. Says whether
    /// anything of it was left on the grid.
    pub fn ring(&mut self, region: u16, ring: &[Point], hole: bool) -> bool {
        let area = twice_area(ring);
        if area == 0 {
            return false;
        }
        let reversed = (area < 0) != hole;
        let mut previous = ring[ring.len() - 1];
        for &point in ring {
            if point == previous {
                continue;
            }
            let (from, to) = if reversed { (point, previous) } else { (previous, point) };
            let (key, step) = if from < to { ((from, to), 1) } else { ((to, from), -1) };
            let sides = self.edges.entry(key).or_default();
            match sides.iter_mut().find(|side| side.0 == region) {
                Some(side) => side.1 += step,
                None => sides.push((region, step)),
            }
            previous = point;
        }
        true
    }

    /// The arcs, in an order that depends on nothing but the polygons.
    pub fn arcs(self) -> Vec<Arc> {
        let mut sides: Vec<Side> = Vec::new();
        #[expect(clippy::iter_over_hash_type, reason = "sorted below")]
        for ((from, to), regions) in self.edges {
            let mut left: Vec<u16> = Vec::new();
            let mut right: Vec<u16> = Vec::new();
            for (region, count) in regions {
                let side = if count > 0 { &mut left } else { &mut right };
                side.extend((0..count.unsigned_abs()).map(|_| region));
            }
            left.sort_unstable();
            right.sort_unstable();
            for n in 0..left.len().max(right.len()) {
                let at = |side: &[u16]| side.get(n).copied().unwrap_or(NOWHERE);
                sides.push(Side { from, to, left: at(&left), right: at(&right) });
            }
        }
        sides.sort_unstable();
        chain(&sides)
    }
}

/// The middle of each region's area as latitude and longitude in degrees, and of each country's as
/// that of all its parts; none where a region has no polygons. `countries` gives a region's
/// country. Good enough to put a sign on a map, and for nothing else.
pub fn centres(arcs: &[Arc], countries: &[u16]) -> Vec<Option<(f64, f64)>> {
    #[derive(Clone, Copy)]
    struct Sum {
        west: i32,
        east: i32,
        area: f64,
        x: f64,
        y: f64,
    }
    let mut sums =
        vec![Sum { west: i32::MAX, east: i32::MIN, area: 0.0, x: 0.0, y: 0.0 }; countries.len()];
    let owners = |region: u16| {
        let country = countries.get(usize::from(region)).copied();
        [Some(region), country.filter(|country| *country != region)]
            .into_iter()
            .flatten()
            .map(usize::from)
    };
    let sides = |arc: &Arc| {
        [(arc.left, 1.0), (arc.right, -1.0)].into_iter().filter(|(region, _)| *region != NOWHERE)
    };
    for arc in arcs {
        for owner in sides(arc).flat_map(|(region, _)| owners(region)) {
            for point in &arc.points {
                sums[owner].west = sums[owner].west.min(point.x);
                sums[owner].east = sums[owner].east.max(point.x);
            }
        }
    }
    const HALF: i64 = 18_000_000;
    for arc in arcs {
        for (region, sign) in sides(arc) {
            for owner in owners(region) {
                let sum = &mut sums[owner];
                // Across the 180th meridian the west is taken to lie further east.
                let wraps = i64::from(sum.east) - i64::from(sum.west) > HALF;
                let x = |point: &Point| {
                    f64::from(point.x) + if wraps && point.x < 0 { 2.0 * HALF as f64 } else { 0.0 }
                };
                for pair in arc.points.windows(2) {
                    let (a, b) =
                        ((x(&pair[0]), f64::from(pair[0].y)), (x(&pair[1]), f64::from(pair[1].y)));
                    let twice = sign * (a.0 * b.1 - b.0 * a.1);
                    sum.area += twice;
                    sum.x += (a.0 + b.0) * twice;
                    sum.y += (a.1 + b.1) * twice;
                }
            }
        }
    }
    let centre = |sum: &Sum| {
        let (x, y) = (sum.x / (3.0 * sum.area), sum.y / (3.0 * sum.area));
        let x = if x > HALF as f64 { x - 2.0 * HALF as f64 } else { x };
        (sum.area != 0.0).then_some((y / crate::grid::SCALE, x / crate::grid::SCALE))
    };
    sums.iter().map(centre).collect()
}

/// Joins edges into arcs as long as exactly two of the same sides meet.
fn chain(sides: &[Side]) -> Vec<Arc> {
    let mut at: BTreeMap<Point, Vec<u32>> = BTreeMap::new();
    for (n, side) in sides.iter().enumerate() {
        at.entry(side.from).or_default().push(n as u32);
        at.entry(side.to).or_default().push(n as u32);
    }
    let mut used = vec![false; sides.len()];
    let mut arcs = Vec::new();
    // First from the ends, then what is left: rings without a junction.
    for rings in [false, true] {
        for (start, edges) in &at {
            if !rings
                && edges.len() == 2
                && same_line(*start, &sides[edges[0] as usize], &sides[edges[1] as usize])
            {
                continue;
            }
            for &first in edges {
                if used[first as usize] {
                    continue;
                }
                let mut edge = first as usize;
                let (left, right) = seen_from(*start, &sides[edge]);
                let mut points = vec![*start];
                let mut end = *start;
                loop {
                    used[edge] = true;
                    end = if sides[edge].from == end { sides[edge].to } else { sides[edge].from };
                    points.push(end);
                    let next = match at[&end].as_slice() {
                        [a, b] if same_line(end, &sides[*a as usize], &sides[*b as usize]) => {
                            if *a as usize == edge { *b } else { *a }
                        }
                        _ => break,
                    };
                    if used[next as usize] {
                        break;
                    }
                    edge = next as usize;
                }
                arcs.push(Arc { left, right, points });
            }
        }
    }
    arcs
}

/// Left and right of an edge when it is walked from `start`.
fn seen_from(start: Point, side: &Side) -> (u16, u16) {
    if side.from == start { (side.left, side.right) } else { (side.right, side.left) }
}

/// Whether two edges that meet at a point are one line with the same sides.
fn same_line(middle: Point, a: &Side, b: &Side) -> bool {
    let (left, right) = seen_from(middle, a);
    seen_from(middle, b) == (right, left)
}

/// Twice the signed area: positive if the ring runs counter-clockwise.
pub fn twice_area(ring: &[Point]) -> i64 {
    let Some(&(mut previous)) = ring.last() else { return 0 };
    let mut area = 0;
    for &point in ring {
        area +=
            i64::from(previous.x) * i64::from(point.y) - i64::from(point.x) * i64::from(previous.y);
        previous = point;
    }
    area
}

pub fn write(arcs: &[Arc]) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut last = Point { x: 0, y: 0 };
    for arc in arcs {
        writer.number(u64::from(arc.left));
        writer.number(u64::from(arc.right));
        writer.number(arc.points.len() as u64);
        for point in &arc.points {
            writer.signed(i64::from(point.x) - i64::from(last.x));
            writer.signed(i64::from(point.y) - i64::from(last.y));
            last = *point;
        }
    }
    writer.bytes
}

pub fn read(bytes: &[u8]) -> Result<Vec<Arc>, BundleError> {
    let mut reader = Reader::new(bytes);
    let mut arcs = Vec::new();
    let (mut x, mut y) = (0_i64, 0_i64);
    while !reader.is_at_end() {
        let (left, right) = (reader.number()? as u16, reader.number()? as u16);
        let count = reader.number()? as usize;
        if count > bytes.len() {
            return Err(BundleError::Damaged("an arc is too long"));
        }
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            x += reader.signed()?;
            y += reader.signed()?;
            if x.abs() > 18_000_000 || y.abs() > 9_000_000 {
                return Err(BundleError::Damaged("an arc leaves the world"));
            }
            points.push(Point { x: x as i32, y: y as i32 });
        }
        arcs.push(Arc { left, right, points });
    }
    Ok(arcs)
}
