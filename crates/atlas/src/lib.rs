//! Where: coordinates and place names to regions.
//!
//! Asked by ingest for every post: `locate_point` by coordinates, exactly; `locate_text` by what people write, with a calibrated
//! confidence or an honest `ZZ`. The world comes compiled in as one bundle (`data/world.bin`, made by `examples/build_bundle.rs`) and is
//! unpacked when it is first needed; the operator's own regions come as GeoJSON text. Pure: no files, no clock, no network.

mod located;
mod point;

pub mod borders;
pub mod bundle;
pub mod grid;
pub mod names;
pub mod regions;

use std::sync::LazyLock;

use crate::bundle::Bundle;
pub use crate::located::{Flag, Flags, Located, Provenance, Reason};
use crate::point::Points;
use crate::regions::Region;

/// What must be said wherever the atlas' answers are shown.
pub const ATTRIBUTION: &str = "Places: GeoNames (geonames.org, CC BY 4.0). Borders: Natural Earth (public domain). Names: Unicode CLDR.";

static FILE: &[u8] = include_bytes!("../data/world.bin");
/// What is damaged in a file that is compiled in is found by the tests.
const SOUND: &str = "the bundle that is compiled in is sound";

static BUNDLE: LazyLock<Bundle<'static>> = LazyLock::new(|| Bundle::new(FILE).expect(SOUND));
static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| regions::read(&BUNDLE.section(bundle::REGIONS).expect(SOUND)).expect(SOUND));
static POINTS: LazyLock<Points> =
    LazyLock::new(|| Points::new(&borders::read(&BUNDLE.section(bundle::ARCS).expect(SOUND)).expect(SOUND), &REGIONS));

/// The version of the data, written beside whatever is counted with it.
pub fn data_version() -> &'static str {
    BUNDLE.version
}

/// The world's regions and the operator's own.
#[derive(Debug, Default)]
pub struct Atlas {}

impl Atlas {
    /// The world alone.
    pub fn new() -> Atlas {
        Atlas::default()
    }

    /// What is known of a country or first level.
    pub fn region(&self, code: &str) -> Option<&'static Region> {
        let found = REGIONS.binary_search_by(|region| region.code.as_str().cmp(code)).ok()?;
        Some(&REGIONS[found])
    }

    pub fn regions(&self) -> &'static [Region] {
        &REGIONS
    }

    /// The region of a coordinate in degrees.
    pub fn locate_point(&self, latitude: f64, longitude: f64) -> Located<'_> {
        POINTS.locate(latitude, longitude, &REGIONS)
    }
}

#[cfg(test)]
mod tests;
