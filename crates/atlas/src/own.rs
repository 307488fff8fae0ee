//! The operator's own regions, from GeoJSON: children of a region of the tree, or overlays beside
//! it.
//!
//! Everything wrong is found at once and said with the feature's number and code. Polygons go onto
//! the grid of 1e-5 degree;
//! the winding of their rings doesn't matter. Knows text and polygons; reads no files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use record::region::OwnRegion;
use serde_json::Value;

use crate::borders::{Dissolve, twice_area};
use crate::grid::{Grid, Point};

/// A file holds no more than this.
pub const FILE_BYTES_MAX: usize = 64 << 20;
pub const REGIONS_MAX: usize = 10_000;
pub const VERTICES_MAX: usize = 1_000_000;
/// A code is no longer than this.
pub const CODE_BYTES_MAX: usize = 32;
/// Of a child's vertices and inner points, this share lies in its parent: maps of a coast or border
/// differ a little.
const INSIDE_MIN: f64 = 0.95;
/// Two children of one parent may share no more than this of the smaller one.
const OVERLAP_MAX: f64 = 0.01;
/// Points that probe a polygon, a side of a square.
const PROBES: i32 = 48;

/// What is wrong with a file of regions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OwnError {
    #[error(
        "the file has {bytes} bytes, {FILE_BYTES_MAX} are allowed\nhint: simplify the polygons; a \
            tolerance of 10 m is plenty"
    )]
    FileSize { bytes: usize },
    #[error("not JSON: {0}\nhint: it must be GeoJSON, in UTF-8")]
    Json(String, usize),
    #[error(
        "not a GeoJSON FeatureCollection\nhint: its `type` must be `FeatureCollection`, with \
            `features`"
    )]
    NotAFeatureCollection,
    #[error("{count} regions, {REGIONS_MAX} are allowed")]
    RegionCount { count: usize },
    #[error(
        "more than {VERTICES_MAX} vertices\nhint: simplify the polygons; a tolerance of 10 m is \
            plenty"
    )]
    VertexCount,
    #[error(
        "feature {feature}: no `code` in its `properties`\nhint: a code of your own, like \
            `US-TX-201`, or `x:flood` for an overlay"
    )]
    NoCode { feature: usize },
    #[error("feature {feature}: the code `{code}` isn't usable: {why}")]
    BadCode { feature: usize, code: String, why: &'static str },
    #[error("feature {feature}: the code `{code}` is already that of {earlier}")]
    Twice { feature: usize, code: String, earlier: String },
    #[error(
        "`{code}`: the parent `{parent}` isn't a country or first level\nhint: an ISO 3166 code \
            like `US-TX`; leave `parent` out for an overlay"
    )]
    UnknownParent { code: String, parent: String },
    #[error("`{code}`: its geometry is `{found}`, not a Polygon or MultiPolygon")]
    Geometry { code: String, found: String },
    #[error(
        "`{code}`: position {position} isn't longitude and latitude in degrees\nhint: GeoJSON is \
            [longitude, latitude] in WGS 84; other projections have to be converted"
    )]
    Position { code: String, position: String },
    #[error("`{code}`: ring {ring} has fewer than three distinct points, or no area")]
    NoArea { code: String, ring: usize },
    #[error("`{code}`: ring {ring} isn't closed: its last position must repeat its first")]
    Open { code: String, ring: usize },
    #[error(
        "`{code}` crosses itself near {latitude:.5}, {longitude:.5}\nhint: repair it, for example \
            with `ST_MakeValid` or \"Fix geometries\""
    )]
    Crosses { code: String, latitude: f64, longitude: f64 },
    #[error(
        "`{code}` spans more than 180 degrees\nhint: cut a polygon that crosses the 180th meridian \
            in two"
    )]
    Wide { code: String },
    #[error("`{code}` doesn't lie in its parent `{parent}`: only {percent:.0} % of it does")]
    Outside { code: String, parent: String, percent: f64 },
    #[error(
        "`{code}` and `{other}` overlap by {percent:.0} % of the smaller\nhint: regions of one \
            parent must not overlap; use overlays (`x:…`, no parent) for those that do"
    )]
    Overlap { code: String, other: String, percent: f64 },
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Misplaced {
    /// Which of the files.
    pub file: usize,
    /// From 1: where the feature begins.
    pub line: usize,
    pub error: OwnError,
}

/// Own regions, ready to be asked.
#[derive(Debug)]
pub struct OwnRegions {
    regions: Vec<Own>,
    grid: Grid,
}

#[derive(Debug, Clone)]
struct Own {
    code: String,
    name: Option<String>,
    parent: Option<String>,
    rings: Vec<(Vec<Point>, bool)>,
    /// Where it was written.
    file: usize,
    line: usize,
}

/// A region of the operator's, as far as it can be told in a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnSummary<'a> {
    pub code: &'a str,
    pub name: Option<&'a str>,
    /// None of overlays.
    pub parent: Option<&'a str>,
    pub vertices: usize,
    /// West, south, east, north in degrees.
    pub bounds: [f64; 4],
}

impl OwnRegions {
    /// Reads FeatureCollections whose features have `code`, and `parent` unless they are overlays,
    /// and perhaps `name` in their `properties`.
    ///
    /// `inside` says whether a point lies in a region of the tree, none if there is no such region.
    pub(crate) fn read(
        files: &[&str],
        inside: impl Fn(&str, Point) -> Option<bool>,
    ) -> Result<OwnRegions, Vec<Misplaced>> {
        let mut errors = Vec::new();
        let mut regions: Vec<Own> = Vec::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (file, text) in files.iter().enumerate() {
            if let Err(error) = read_file(file, text, &mut regions, &mut seen, &mut errors) {
                let line = if let OwnError::Json(_, line) = error { line } else { 1 };
                errors.push(Misplaced { file, line, error });
            }
        }
        let vertices: usize =
            regions.iter().flat_map(|region| &region.rings).map(|ring| ring.0.len()).sum();
        if vertices > VERTICES_MAX {
            errors.push(Misplaced {
                file: files.len().saturating_sub(1),
                line: 1,
                error: OwnError::VertexCount,
            });
            return Err(errors);
        }
        for region in &regions {
            errors.extend(crossing(region).map(|error| region.misplaced(error)));
        }
        if !errors.is_empty() {
            errors.sort_by_key(|error| (error.file, error.line));
            return Err(errors);
        }
        let mut dissolve = Dissolve::default();
        for (n, region) in regions.iter().enumerate() {
            for (ring, hole) in &region.rings {
                dissolve.ring(n as u16, ring, *hole);
            }
        }
        let arcs = dissolve.arcs();
        let own = OwnRegions { grid: Grid::new(arcs.iter()), regions };
        let errors = own.misplaced(inside);
        if errors.is_empty() { Ok(own) } else { Err(errors) }
    }

    /// Codes and parents, for the region table.
    pub fn table(&self) -> Vec<OwnRegion> {
        self.regions
            .iter()
            .map(|region| OwnRegion { code: region.code.clone(), parent: region.parent.clone() })
            .collect()
    }

    /// All of them, in the order of the files.
    pub fn each(&self) -> impl Iterator<Item = OwnSummary<'_>> {
        self.regions.iter().map(|region| {
            let points = || region.rings.iter().flat_map(|ring| &ring.0);
            let span = |of: fn(&Point) -> i32| {
                (points().map(of).min().unwrap_or(0), points().map(of).max().unwrap_or(0))
            };
            let ((west, east), (south, north)) = (span(|point| point.x), span(|point| point.y));
            OwnSummary {
                code: &region.code,
                name: region.name.as_deref(),
                parent: region.parent.as_deref(),
                vertices: points().count(),
                bounds: [west, south, east, north]
                    .map(|units| f64::from(units) / crate::grid::SCALE),
            }
        })
    }

    /// What decides answers, as bytes: the same for files that mean the same.
    pub fn meaning(&self) -> Vec<u8> {
        let mut bytes = crate::bundle::Writer::default();
        for region in &self.regions {
            bytes.bytes_with_length(region.code.as_bytes());
            bytes.bytes_with_length(region.parent.as_deref().unwrap_or_default().as_bytes());
            bytes.number(region.rings.len() as u64);
            for (ring, hole) in &region.rings {
                bytes.number(ring.len() as u64 * 2 + u64::from(*hole));
                for point in ring {
                    bytes.signed(i64::from(point.x));
                    bytes.signed(i64::from(point.y));
                }
            }
        }
        bytes.bytes
    }

    /// The name that the operator gave.
    pub fn name(&self, code: &str) -> Option<&str> {
        self.regions.iter().find(|region| region.code == code)?.name.as_deref()
    }

    /// The child that holds a point with its parent, the first in the file of several; and all
    /// overlays that do.
    pub(crate) fn at(&self, point: Point) -> (Option<(&str, &str)>, Vec<&str>) {
        let (mut child, mut overlays) = (None, Vec::new());
        for n in self.grid.all(point) {
            let region = &self.regions[usize::from(n)];
            match &region.parent {
                Some(parent) if child.is_none() => {
                    child = Some((region.code.as_str(), parent.as_str()))
                }
                Some(_) => {}
                None => overlays.push(region.code.as_str()),
            }
        }
        (child, overlays)
    }

    /// Children outside of their parents, and children of one parent that overlap.
    fn misplaced(&self, inside: impl Fn(&str, Point) -> Option<bool>) -> Vec<Misplaced> {
        let mut errors = Vec::new();
        let mut shared: BTreeMap<(u16, u16), (usize, usize)> = BTreeMap::new();
        for (n, region) in self.regions.iter().enumerate() {
            let Some(parent) = &region.parent else { continue };
            let probes = self.probes(n as u16);
            if inside(parent, Point { x: 0, y: 0 }).is_none() {
                errors.push(region.misplaced(OwnError::UnknownParent {
                    code: region.code.clone(),
                    parent: parent.clone(),
                }));
                continue;
            }
            let held = probes.iter().filter(|point| inside(parent, **point) == Some(true)).count();
            let share = held as f64 / probes.len().max(1) as f64;
            if share < INSIDE_MIN {
                let error = OwnError::Outside {
                    code: region.code.clone(),
                    parent: parent.clone(),
                    percent: 100.0 * share,
                };
                errors.push(region.misplaced(error));
            }
            for point in &probes {
                for other in
                    self.grid.all(*point).into_iter().filter(|other| usize::from(*other) != n)
                {
                    if self.regions[usize::from(other)].parent.as_ref() == Some(parent) {
                        let pair = shared.entry((n as u16, other)).or_insert((0, probes.len()));
                        pair.0 += 1;
                    }
                }
            }
        }
        let mut told = std::collections::BTreeSet::new();
        for ((one, other), (common, probes)) in &shared {
            let back = shared
                .get(&(*other, *one))
                .map_or(0.0, |(common, probes)| *common as f64 / *probes as f64);
            let share = (*common as f64 / *probes as f64).max(back);
            if share > OVERLAP_MAX && told.insert((*one.min(other), *one.max(other))) {
                let (first, second) = (
                    &self.regions[usize::from(*one.min(other))],
                    &self.regions[usize::from(*one.max(other))],
                );
                let error = OwnError::Overlap {
                    code: second.code.clone(),
                    other: first.code.clone(),
                    percent: 100.0 * share,
                };
                errors.push(second.misplaced(error));
            }
        }
        errors
    }

    /// Points inside a region, spread evenly over it. Shared edges are left out by asking off the
    /// grid of vertices.
    fn probes(&self, n: u16) -> Vec<Point> {
        let points = || self.regions[usize::from(n)].rings.iter().flat_map(|ring| &ring.0);
        let (Some(west), Some(east)) =
            (points().map(|point| point.x).min(), points().map(|point| point.x).max())
        else {
            return Vec::new();
        };
        let (Some(south), Some(north)) =
            (points().map(|point| point.y).min(), points().map(|point| point.y).max())
        else {
            return Vec::new();
        };
        let at = |low: i32, high: i32, step: i32| {
            low + ((i64::from(high) - i64::from(low)) * i64::from(2 * step + 1)
                / i64::from(2 * PROBES)) as i32
        };
        let mut probes = Vec::new();
        for row in 0..PROBES {
            for column in 0..PROBES {
                let point = Point { x: at(west, east, column), y: at(south, north, row) };
                if self.grid.all(point).contains(&n) {
                    probes.push(point);
                }
            }
        }
        probes
    }
}

impl Own {
    fn misplaced(&self, error: OwnError) -> Misplaced {
        Misplaced { file: self.file, line: self.line, error }
    }
}

fn read_file(
    file: usize,
    text: &str,
    regions: &mut Vec<Own>,
    seen: &mut BTreeMap<String, String>,
    errors: &mut Vec<Misplaced>,
) -> Result<(), OwnError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(OwnError::FileSize { bytes: text.len() });
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| OwnError::Json(error.to_string(), error.line().max(1)))?;
    let features = match (&value["type"], value["features"].as_array()) {
        (Value::String(kind), Some(features)) if kind == "FeatureCollection" => features,
        _ => return Err(OwnError::NotAFeatureCollection),
    };
    if regions.len() + features.len() > REGIONS_MAX {
        return Err(OwnError::RegionCount { count: regions.len() + features.len() });
    }
    let lines = feature_lines(text);
    for (n, feature) in features.iter().enumerate() {
        let line = lines.get(n).copied().unwrap_or(1);
        match read_feature(n + 1, feature, seen) {
            Ok(region) => regions.push(Own { file, line, ..region }),
            Err(found) => {
                errors.extend(found.into_iter().map(|error| Misplaced { file, line, error }))
            }
        }
    }
    Ok(())
}

/// The lines on which the features of a FeatureCollection begin. The text is JSON.
fn feature_lines(text: &str) -> Vec<usize> {
    let (mut lines, mut line, mut depth, mut begin) = (Vec::new(), 1, 0, None);
    // The last string at the top is the key of what comes next.
    let (mut key, mut in_features) = ("", false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'"' if begin.is_none() => begin = Some(at + 1),
            b'"' => {
                let string = begin.take().and_then(|begin| text.get(begin..at)).unwrap_or_default();
                if depth == 1 {
                    key = string;
                }
            }
            b'\\' if begin.is_some() => {
                bytes.next();
            }
            _ if begin.is_some() => {}
            b'[' | b'{' => {
                if depth == 1 {
                    in_features = byte == b'[' && key == "features";
                    if in_features {
                        // Of a key that stands twice the last value holds.
                        lines.clear();
                    }
                }
                if depth == 2 && in_features && byte == b'{' {
                    lines.push(line);
                }
                depth += 1;
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    lines
}

fn read_feature(
    feature: usize,
    value: &Value,
    seen: &mut BTreeMap<String, String>,
) -> Result<Own, Vec<OwnError>> {
    let properties = &value["properties"];
    let Some(code) = properties["code"].as_str().map(str::trim).filter(|code| !code.is_empty())
    else {
        return Err(vec![OwnError::NoCode { feature }]);
    };
    let parent = properties["parent"].as_str().map(|parent| parent.trim().to_ascii_uppercase());
    let bad = |why| vec![OwnError::BadCode { feature, code: code.to_owned(), why }];
    let overlay = code.strip_prefix("x:");
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let why = match (&parent, overlay) {
        _ if code.len() > CODE_BYTES_MAX => Some("longer than 32 bytes"),
        (None, None) => Some("an overlay's code begins with `x:`; a child needs a `parent`"),
        (Some(_), Some(_)) => Some("`x:` is for overlays, which have no `parent`"),
        (None, Some(rest)) if !is_plain(rest) => {
            Some("only letters, digits, `-`, `_` and `.` may follow `x:`")
        }
        (Some(_), None) if !is_plain(code) => {
            Some("only letters, digits, `-`, `_` and `.` are allowed")
        }
        (Some(_), None) if !record::region::RegionTable::new(&[]).path(code).1 => {
            Some("it is a code of ISO 3166")
        }
        _ => None,
    };
    if let Some(why) = why {
        return Err(bad(why));
    }
    let code = if overlay.is_some() { code.to_owned() } else { code.to_ascii_uppercase() };
    // Posts name them in any case.
    match seen.entry(code.to_ascii_uppercase()) {
        Entry::Occupied(earlier) => {
            return Err(vec![OwnError::Twice { feature, code, earlier: earlier.get().clone() }]);
        }
        Entry::Vacant(free) => free.insert(format!("feature {feature}")),
    };
    let rings = read_rings(&code, &value["geometry"])?;
    Ok(Own {
        code,
        name: properties["name"].as_str().map(str::to_owned),
        parent,
        rings,
        file: 0,
        line: 0,
    })
}

fn read_rings(code: &str, geometry: &Value) -> Result<Vec<(Vec<Point>, bool)>, Vec<OwnError>> {
    let coordinates = &geometry["coordinates"];
    let polygons: Vec<&Value> = match geometry["type"].as_str() {
        Some("Polygon") => vec![coordinates],
        Some("MultiPolygon") => coordinates.as_array().into_iter().flatten().collect(),
        other => {
            return Err(vec![OwnError::Geometry {
                code: code.to_owned(),
                found: other.unwrap_or("nothing").to_owned(),
            }]);
        }
    };
    let (mut rings, mut errors) = (Vec::new(), Vec::new());
    let (mut west, mut east) = (i32::MAX, i32::MIN);
    for (ring, hole) in polygons
        .iter()
        .flat_map(|polygon| polygon.as_array().into_iter().flatten().enumerate())
        .map(|(n, ring)| (ring, n > 0))
    {
        let number = rings.len() + 1;
        let mut points: Vec<Point> = Vec::new();
        for position in ring.as_array().into_iter().flatten() {
            let point = match (position[0].as_f64(), position[1].as_f64()) {
                (Some(x), Some(y)) if x.abs() <= 180.0 && y.abs() <= 90.0 => Point::of(y, x),
                _ => {
                    errors.push(OwnError::Position {
                        code: code.to_owned(),
                        position: position.to_string(),
                    });
                    return Err(errors);
                }
            };
            west = west.min(point.x);
            east = east.max(point.x);
            points.push(point);
        }
        if points.len() > 1 && points.first() != points.last() {
            errors.push(OwnError::Open { code: code.to_owned(), ring: number });
        }
        points.dedup();
        if points.len() > 1 && points.first() == points.last() {
            points.pop();
        }
        if points.len() < 3 || twice_area(&points) == 0 {
            // A bow tie of equal halves has no area either, but says more by its crossing.
            match crossing_of(&[(points.clone(), false)]) {
                Some(point) if points.len() > 3 => errors.push(crosses(code, point)),
                _ => errors.push(OwnError::NoArea { code: code.to_owned(), ring: number }),
            }
        }
        rings.push((points, hole));
    }
    if rings.is_empty() {
        errors.push(OwnError::NoArea { code: code.to_owned(), ring: 1 });
    } else if i64::from(east) - i64::from(west) > 18_000_000 {
        errors.push(OwnError::Wide { code: code.to_owned() });
    }
    if errors.is_empty() { Ok(rings) } else { Err(errors) }
}

fn crossing(region: &Own) -> Option<OwnError> {
    crossing_of(&region.rings).map(|point| crosses(&region.code, point))
}

fn crosses(code: &str, point: Point) -> OwnError {
    let degrees = |units: i32| f64::from(units) / crate::grid::SCALE;
    OwnError::Crosses {
        code: code.to_owned(),
        latitude: degrees(point.y),
        longitude: degrees(point.x),
    }
}

/// A point where two edges cross properly, if any: swept from west to east.
fn crossing_of(rings: &[(Vec<Point>, bool)]) -> Option<Point> {
    let mut edges: Vec<(Point, Point)> = Vec::new();
    for (ring, _) in rings {
        let mut previous = *ring.last()?;
        for &point in ring {
            edges.push((previous.min(point), previous.max(point)));
            previous = point;
        }
    }
    edges.sort_unstable();
    let mut open: Vec<(Point, Point)> = Vec::new();
    for edge in edges {
        open.retain(|other| other.1.x >= edge.0.x);
        let (low, high) = (edge.0.y.min(edge.1.y), edge.0.y.max(edge.1.y));
        for other in &open {
            let apart = other.0.y.max(other.1.y) < low || other.0.y.min(other.1.y) > high;
            if !apart && crosses_properly(edge, *other) {
                return Some(edge.0);
            }
        }
        open.push(edge);
    }
    None
}

fn crosses_properly(a: (Point, Point), b: (Point, Point)) -> bool {
    let turn = |p: Point, q: Point, r: Point| -> i64 {
        ((i64::from(q.x) - i64::from(p.x)) * (i64::from(r.y) - i64::from(p.y))
            - (i64::from(q.y) - i64::from(p.y)) * (i64::from(r.x) - i64::from(p.x)))
        .signum()
    };
    turn(a.0, a.1, b.0) * turn(a.0, a.1, b.1) < 0 && turn(b.0, b.1, a.0) * turn(b.0, b.1, a.1) < 0
}
