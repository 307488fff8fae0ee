//! Point in polygon on whole numbers: a table of quarter-degree cells, each with the edges that
//! touch it.
//!
//! Fed with arcs (polylines with a region on either side), queried for the regions of a point.
//! Knows coordinates and region numbers; knows nothing of codes, countries or names.
//!
//! Polygons and points are on one grid of 1e-5 degree and every orientation is computed in `i64`,
//! so that an answer is exact.
//! A cell knows the regions at its south-west corner; a point's are found by walking from there
//! east along the cell's bottom and then north, and counting the arcs that are crossed (winding
//! numbers: overlaps and touching parts do no harm).
//! Coordinates are doubled inside and cell lines are odd, so that no vertex lies on a cell line.

use std::collections::BTreeMap;

/// Units a degree.
pub const SCALE: f64 = 100_000.0;
/// No region on that side of an arc.
pub const NOWHERE: u16 = u16::MAX;

const CELL: i32 = 50_000;
const COLUMNS: usize = 1_441;
const ROWS: usize = 721;
/// Kilometres a doubled unit of latitude.
const KM: f64 = 111.195 / (2.0 * SCALE);
/// Above this latitude a degree of longitude is too short to look for neighbours in; only
/// Antarctica and open ice are there.
const NEIGHBOURS_LATITUDE_MAX: f64 = 87.0;
const MIXED: u32 = 1 << 31;

/// A polyline and the regions at its left and right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arc {
    pub left: u16,
    pub right: u16,
    pub points: Vec<Point>,
}

/// Longitude and latitude in units of 1e-5 degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    pub x: i32,
    pub y: i32,
}

impl Point {
    /// The grid point nearest to a coordinate; the caller has checked its range.
    pub fn of(latitude: f64, longitude: f64) -> Point {
        Point { x: (longitude * SCALE).round() as i32, y: (latitude * SCALE).round() as i32 }
    }

    fn doubled(self) -> (i32, i32) {
        (2 * (self.x + 18_000_000), 2 * (self.y + 9_000_000))
    }
}

/// The cell table.
#[derive(Debug)]
pub struct Grid {
    /// A region + 1, 0 for none, or `MIXED` and the number of a mixed cell.
    cells: Vec<u32>,
    mixed: Vec<Mixed>,
    corners: Vec<(u16, i16)>,
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy)]
struct Mixed {
    edges_start: u32,
    corners_start: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Edge {
    ax: i32,
    ay: i32,
    bx: i32,
    by: i32,
    left: u16,
    right: u16,
}

/// Winding numbers of the few regions around a point.
struct Winding {
    fixed: [(u16, i16); 16],
    len: usize,
    spilled: Vec<(u16, i16)>,
    touched: Vec<u16>,
}

impl Winding {
    fn new() -> Winding {
        Winding { fixed: [(0, 0); 16], len: 0, spilled: Vec::new(), touched: Vec::new() }
    }

    fn add(&mut self, region: u16, by: i16) {
        if region == NOWHERE {
            return;
        }
        if let Some(slot) =
            self.fixed[..self.len].iter_mut().chain(&mut self.spilled).find(|slot| slot.0 == region)
        {
            slot.1 += by;
        } else if self.len < self.fixed.len() {
            self.fixed[self.len] = (region, by);
            self.len += 1;
        } else {
            self.spilled.push((region, by));
        }
    }

    fn touch(&mut self, region: u16) {
        if region != NOWHERE && !self.touched.contains(&region) {
            self.touched.push(region);
        }
    }

    fn inside(&self) -> impl Iterator<Item = u16> + '_ {
        let wound = self.fixed[..self.len]
            .iter()
            .chain(&self.spilled)
            .filter(|slot| slot.1 > 0)
            .map(|slot| slot.0);
        wound.chain(self.touched.iter().copied())
    }
}

impl Grid {
    pub fn new<'a>(arcs: impl Iterator<Item = &'a Arc> + Clone) -> Grid {
        let edges = || {
            arcs.clone().flat_map(|arc| {
                arc.points.windows(2).map(|pair| {
                    let ((ax, ay), (bx, by)) = (pair[0].doubled(), pair[1].doubled());
                    Edge { ax, ay, bx, by, left: arc.left, right: arc.right }
                })
            })
        };
        let mut counts = vec![0_u32; COLUMNS * ROWS];
        // (row, column, left, right, step): a region begins or ends at the corner of that column.
        let mut crossings: Vec<(u32, u32, u16, u16, i16)> = Vec::new();
        for edge in edges() {
            edge.for_each_cell(|cell| counts[cell] += 1);
            edge.for_each_line(|row, column, step| {
                crossings.push((row, column, edge.left, edge.right, step))
            });
        }
        crossings.sort_unstable();

        let mut grid = Grid {
            cells: vec![0; COLUMNS * ROWS],
            mixed: Vec::new(),
            corners: Vec::new(),
            edges: Vec::new(),
        };
        let mut edges_total = 0;
        let mut crossings = crossings.into_iter().peekable();
        let mut around: BTreeMap<u16, i16> = BTreeMap::new();
        let mut inside: Vec<(u16, i16)> = Vec::new();
        for row in 0..ROWS {
            around.clear();
            inside.clear();
            for column in 0..COLUMNS {
                while let Some((_, _, left, right, step)) =
                    crossings.next_if(|next| (next.0, next.1) <= (row as u32, column as u32))
                {
                    *around.entry(left).or_default() += step;
                    *around.entry(right).or_default() -= step;
                    inside.clear();
                    inside.extend(
                        around
                            .iter()
                            .filter(|(region, wound)| **region != NOWHERE && **wound != 0)
                            .map(|(r, w)| (*r, *w)),
                    );
                }
                let cell = row * COLUMNS + column;
                grid.cells[cell] = match inside.as_slice() {
                    [] if counts[cell] == 0 => 0,
                    [(region, 1)] if counts[cell] == 0 => u32::from(*region) + 1,
                    _ => {
                        grid.mixed.push(Mixed {
                            edges_start: edges_total,
                            corners_start: grid.corners.len() as u32,
                        });
                        grid.corners.extend(&inside);
                        edges_total += counts[cell];
                        MIXED | (grid.mixed.len() - 1) as u32
                    }
                };
            }
        }
        grid.mixed
            .push(Mixed { edges_start: edges_total, corners_start: grid.corners.len() as u32 });

        grid.edges = vec![Edge::default(); edges_total as usize];
        let mut next: Vec<u32> = grid.mixed.iter().map(|mixed| mixed.edges_start).collect();
        for edge in edges() {
            edge.for_each_cell(|cell| {
                let mixed = (grid.cells[cell] & !MIXED) as usize;
                grid.edges[next[mixed] as usize] = edge;
                next[mixed] += 1;
            });
        }
        grid
    }

    /// The lowest region that a point lies in; one on a boundary lies in both.
    pub fn first(&self, point: Point) -> Option<u16> {
        match self.cells[cell_of(point)] {
            0 => None,
            cell if cell & MIXED == 0 => Some((cell - 1) as u16),
            cell => self.winding(cell & !MIXED, point).inside().min(),
        }
    }

    /// All regions that a point lies in, in order.
    pub fn all(&self, point: Point) -> Vec<u16> {
        let mut found: Vec<u16> = match self.cells[cell_of(point)] {
            0 => Vec::new(),
            cell if cell & MIXED == 0 => vec![(cell - 1) as u16],
            cell => self.winding(cell & !MIXED, point).inside().collect(),
        };
        found.sort_unstable();
        found.dedup();
        found
    }

    fn winding(&self, mixed: u32, point: Point) -> Winding {
        let (px, py) = point.doubled();
        let x0 = (px + 1) / CELL * CELL - 1;
        let y0 = (py + 1) / CELL * CELL - 1;
        let mut winding = Winding::new();
        for (region, wound) in self.corners_of(mixed) {
            winding.add(*region, *wound);
        }
        for edge in self.edges_of(mixed) {
            // East along the cell's bottom, up to and including px.
            if (edge.ay < y0) != (edge.by < y0)
                && edge.meets_line(x0, y0) == Side::East
                && edge.meets_line(px, y0) != Side::East
            {
                let step = if edge.by < edge.ay { 1 } else { -1 };
                winding.add(edge.left, step);
                winding.add(edge.right, -step);
            }
            // North, a hair east of px.
            if (edge.ax <= px) != (edge.bx <= px) {
                let (east, rising) = (
                    edge.bx > edge.ax,
                    (edge.by > edge.ay) == (edge.bx > edge.ax) && edge.by != edge.ay,
                );
                let height = edge.above(px, y0);
                if (height > 0 || (height == 0 && rising)) && edge.above(px, py) < 0 {
                    let step = if east { 1 } else { -1 };
                    winding.add(edge.left, step);
                    winding.add(edge.right, -step);
                }
            }
            if edge.holds(px, py) {
                winding.touch(edge.left);
                winding.touch(edge.right);
            }
        }
        winding
    }

    /// The nearest edge within `reach` kilometres that has a wanted region at its side: that region
    /// (the lowest of equals) and the distance.
    pub fn nearest(
        &self,
        point: Point,
        reach: f64,
        wanted: impl Fn(u16) -> bool,
    ) -> Option<(u16, f64)> {
        let latitude = f64::from(point.y) / SCALE;
        if latitude.abs() > NEIGHBOURS_LATITUDE_MAX {
            return None;
        }
        let shrink = libm::cos(latitude.to_radians());
        let (px, py) = point.doubled();
        let (high, wide) = ((reach / KM) as i32 + 1, (reach / KM / shrink) as i32 + 1);
        let mut best: Option<(u16, f64)> = None;
        for turn in [-72_000_000, 0, 72_000_000] {
            // The same point seen from either side of the 180th meridian.
            let px = px + turn;
            let (west, east) = ((px - wide).max(0), (px + wide).min(72_000_000));
            if west > east {
                continue;
            }
            for row in (py - high).max(0) / CELL..=((py + high).min(36_000_000) + 1) / CELL {
                for column in west / CELL..=(east + 1) / CELL {
                    let cell = self.cells[row as usize * COLUMNS + column as usize];
                    if cell & MIXED == 0 {
                        continue;
                    }
                    for edge in self.edges_of(cell & !MIXED) {
                        for region in [edge.left, edge.right] {
                            if region == NOWHERE || !wanted(region) {
                                continue;
                            }
                            let distance = edge.distance(px, py, shrink);
                            if distance <= reach
                                && best.is_none_or(|best| (distance, region) < (best.1, best.0))
                            {
                                best = Some((region, distance));
                            }
                        }
                    }
                }
            }
        }
        best
    }

    /// For each cell, whether it or a neighbour holds edges of two countries (or what `country`
    /// tells apart).
    pub fn borders(&self, country: impl Fn(u16) -> u16) -> Vec<bool> {
        const SEVERAL: u16 = u16::MAX - 1;
        let mut own = vec![NOWHERE; self.cells.len()];
        for (cell, slot) in self.cells.iter().zip(&mut own) {
            if cell & MIXED == 0 {
                continue;
            }
            for edge in self.edges_of(cell & !MIXED) {
                for region in
                    [edge.left, edge.right].into_iter().filter(|region| *region != NOWHERE)
                {
                    *slot = joined(*slot, country(region), SEVERAL);
                }
            }
        }
        let mut near = vec![false; self.cells.len()];
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let mut seen = NOWHERE;
                for r in row.saturating_sub(1)..(row + 2).min(ROWS) {
                    for c in [
                        column + COLUMNS - 2,
                        column + COLUMNS - 1,
                        column + COLUMNS,
                        column + COLUMNS + 1,
                        column + COLUMNS + 2,
                    ] {
                        // One column more than a neighbour: the last is a sliver that holds only
                        // the 180th meridian.
                        let there = own[r * COLUMNS + c % COLUMNS];
                        if there != NOWHERE {
                            seen = joined(seen, there, SEVERAL);
                        }
                    }
                }
                near[row * COLUMNS + column] = seen == SEVERAL;
            }
        }
        near
    }

    fn edges_of(&self, mixed: u32) -> &[Edge] {
        let (this, next) = (self.mixed[mixed as usize], self.mixed[mixed as usize + 1]);
        &self.edges[this.edges_start as usize..next.edges_start as usize]
    }

    fn corners_of(&self, mixed: u32) -> &[(u16, i16)] {
        let (this, next) = (self.mixed[mixed as usize], self.mixed[mixed as usize + 1]);
        &self.corners[this.corners_start as usize..next.corners_start as usize]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.cells.len() * 4
            + self.mixed.len() * size_of::<Mixed>()
            + self.corners.len() * 4
            + self.edges.len() * size_of::<Edge>()
    }
}

fn joined(a: u16, b: u16, several: u16) -> u16 {
    if a == NOWHERE || a == b { b } else { several }
}

/// The number of the cell that holds a point.
pub fn cell_of(point: Point) -> usize {
    let (x, y) = point.doubled();
    ((y + 1) / CELL) as usize * COLUMNS + ((x + 1) / CELL) as usize
}

#[derive(PartialEq)]
enum Side {
    West,
    On,
    East,
}

impl Edge {
    /// Twice the signed area of (a, b, p): positive if p lies to the left.
    fn turn(&self, px: i32, py: i32) -> i64 {
        i64::from(self.bx - self.ax) * i64::from(py - self.ay)
            - i64::from(self.by - self.ay) * i64::from(px - self.ax)
    }

    /// Where the edge crosses the horizontal through p, seen from p. The edge does cross it.
    fn meets_line(&self, px: i32, py: i32) -> Side {
        let turn = self.turn(px, py) * i64::from((self.by - self.ay).signum());
        match turn {
            0 => Side::On,
            1.. => Side::East,
            _ => Side::West,
        }
    }

    /// Whether the edge passes above (1), through (0) or below (-1) p. The edge spans the vertical
    /// through p.
    fn above(&self, px: i32, py: i32) -> i64 {
        -self.turn(px, py).signum() * i64::from((self.bx - self.ax).signum())
    }

    fn holds(&self, px: i32, py: i32) -> bool {
        let (west, east) = (self.ax.min(self.bx), self.ax.max(self.bx));
        let (south, north) = (self.ay.min(self.by), self.ay.max(self.by));
        (west..=east).contains(&px) && (south..=north).contains(&py) && self.turn(px, py) == 0
    }

    fn distance(&self, px: i32, py: i32, shrink: f64) -> f64 {
        let (ax, ay) = (f64::from(self.ax - px) * shrink, f64::from(self.ay - py));
        let (bx, by) = (f64::from(self.bx - px) * shrink, f64::from(self.by - py));
        let (dx, dy) = (bx - ax, by - ay);
        let length = dx * dx + dy * dy;
        let along =
            if length == 0.0 { 0.0 } else { (-(ax * dx + ay * dy) / length).clamp(0.0, 1.0) };
        let (x, y) = (ax + along * dx, ay + along * dy);
        (x * x + y * y).sqrt() * KM
    }

    /// Each cell whose closed box the edge touches.
    fn for_each_cell(&self, mut visit: impl FnMut(usize)) {
        let (west, east) = (self.ax.min(self.bx), self.ax.max(self.bx));
        let (south, north) = (self.ay.min(self.by), self.ay.max(self.by));
        let columns = (west + 1) / CELL..=(east + 1) / CELL;
        let rows = (south + 1) / CELL..=(north + 1) / CELL;
        let several = columns.start() != columns.end() && rows.start() != rows.end();
        for row in rows {
            for column in columns.clone() {
                let (x0, y0) = (column * CELL - 1, row * CELL - 1);
                let (x1, y1) = (x0 + CELL, y0 + CELL);
                let corners = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)];
                let apart = several
                    && (corners.iter().all(|(x, y)| self.turn(*x, *y) > 0)
                        || corners.iter().all(|(x, y)| self.turn(*x, *y) < 0));
                if !apart {
                    visit(row as usize * COLUMNS + column as usize);
                }
            }
        }
    }

    /// Each cell line (bottom of a row) that the edge crosses: the first corner at or east of the
    /// crossing, and what its left side gains.
    fn for_each_line(&self, mut visit: impl FnMut(u32, u32, i16)) {
        let (low, high) = (self.ay.min(self.by), self.ay.max(self.by));
        let step = if self.by < self.ay { 1 } else { -1 };
        let run = i64::from(self.by - self.ay);
        for row in (low + 1) / CELL + 1..=(high + 1) / CELL {
            let y0 = row * CELL - 1;
            // x = top / run at that height.
            let top =
                i64::from(self.ax) * run + i64::from(y0 - self.ay) * i64::from(self.bx - self.ax);
            let (top, run) = if run < 0 { (-top, -run) } else { (top, run) };
            let unit = i64::from(CELL) * run;
            let column = (top + run + unit - 1).div_euclid(unit);
            // A crossing east of the last corner is seen by none.
            if column < COLUMNS as i64 {
                visit(row as u32, column as u32, step);
            }
        }
    }
}
