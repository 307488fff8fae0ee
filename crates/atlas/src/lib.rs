//! Geocoding: finds the region of coordinates and place names.
//!
//! Queried by ingest for every post: `locate_point` by coordinates, exactly; `locate_text` by what
//! text, with a calibrated confidence, or `ZZ`. The world comes compiled in as one bundle
//! (`data/world.bin`, made by `examples/build_bundle.rs`) and is unpacked when it is first needed;
//! the operator's own regions come as GeoJSON text. Pure: no files, no clock, no network.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod located;

mod point;
mod text;
mod written;

pub mod borders;
pub mod bundle;
pub mod grid;
pub mod names;
pub mod own;
pub mod regions;

use std::sync::LazyLock;

use record::region::Level;

use crate::bundle::Bundle;
pub use crate::located::{Flag, Flags, Located, Provenance, Reason};
use crate::names::Names;
pub use crate::own::{Misplaced, OwnError, OwnRegions, OwnSummary};
use crate::point::Points;
use crate::regions::Region;
pub use crate::text::{CONFIDENCE_MIN, Meaning, TEXT_BYTES_MAX};

/// The attribution that must be shown with the atlas' answers, as a literal for `concat!`.
#[macro_export]
macro_rules! attribution {
    () => {
        "Places: GeoNames (geonames.org, CC BY 4.0). Borders: Natural Earth (public domain). \
            Names: Unicode CLDR (Unicode-3.0)."
    };
}

pub const ATTRIBUTION: &str = attribution!();

static FILE: &[u8] = include_bytes!("../data/world.bin");
/// What is damaged in a file that is compiled in is found by the tests.
const SOUND: &str = "the bundle that is compiled in is sound";

static BUNDLE: LazyLock<Bundle<'static>> = LazyLock::new(|| Bundle::new(FILE).expect(SOUND));
static REGIONS: LazyLock<Vec<Region>> =
    LazyLock::new(|| regions::read(&BUNDLE.section(bundle::REGIONS).expect(SOUND)).expect(SOUND));
static POINTS: LazyLock<Points> = LazyLock::new(|| {
    Points::new(&borders::read(&BUNDLE.section(bundle::ARCS).expect(SOUND)).expect(SOUND), &REGIONS)
});

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::read(&BUNDLE.section(bundle::NAMES).expect(SOUND)).expect(SOUND));

/// The version of the data, written next to whatever is counted with it.
pub fn data_version() -> &'static str {
    BUNDLE.version
}

/// The world's regions and the operator's own.
#[derive(Debug, Default)]
pub struct Atlas {
    own: Option<OwnRegions>,
}

impl Atlas {
    /// The world alone.
    pub fn new() -> Atlas {
        Atlas::default()
    }

    /// The world and the operator's regions of GeoJSON texts: features with `code`, `parent` (none
    /// for overlays) and `name`.
    ///
    /// # Errors
    /// Everything that is wrong with the files, each with its feature's place.
    pub fn with_own(files: &[&str]) -> Result<Atlas, Vec<Misplaced>> {
        let own = OwnRegions::read(files, |code, point| {
            let parent = number(code)?;
            let is_parent =
                |region: u16| region == parent || REGIONS[usize::from(region)].country == parent;
            Some(POINTS.holds(point, is_parent))
        })?;
        Ok(Atlas { own: Some(own) })
    }

    pub fn own(&self) -> Option<&OwnRegions> {
        self.own.as_ref()
    }

    /// What is known of a country or first level.
    pub fn region(&self, code: &str) -> Option<&'static Region> {
        Some(&REGIONS[usize::from(number(code)?)])
    }

    pub fn regions(&self) -> &'static [Region] {
        &REGIONS
    }

    /// What a region is called: the operator's word comes first.
    pub fn name(&self, code: &str) -> Option<&str> {
        let own = self.own.as_ref().and_then(|own| own.name(code));
        own.or_else(|| self.region(code).map(|region| region.name.as_str()))
    }

    /// Latitude and longitude of the middle of each of `regions`, for maps; of its country where a
    /// part has no polygons.
    pub fn centres(&self) -> Vec<Option<(f64, f64)>> {
        let arcs = borders::read(&BUNDLE.section(bundle::ARCS).expect(SOUND)).expect(SOUND);
        let countries: Vec<u16> = REGIONS.iter().map(|region| region.country).collect();
        let centres = borders::centres(&arcs, &countries);
        countries
            .iter()
            .zip(&centres)
            .map(|(country, centre)| centre.or(centres[usize::from(*country)]))
            .collect()
    }

    /// The region of a coordinate in degrees.
    pub fn locate_point(&self, latitude: f64, longitude: f64) -> Located<'_> {
        let mut located = POINTS.locate(latitude, longitude, &REGIONS);
        if let (Some(own), Ok(point)) = (&self.own, point::checked(latitude, longitude)) {
            let (child, overlays) = own.at(point);
            located.overlays = overlays;
            if let Some((code, parent)) = child
                && let Some(parent) = number(parent)
            {
                located.region = code;
                located.country =
                    Some(&REGIONS[usize::from(REGIONS[usize::from(parent)].country)].code);
                located.level = Level::Own;
                located.confidence = located.confidence.max(point::BY_THE_BORDER);
                located.reason = None;
            }
        }
        located
    }

    /// The region that a text means: a profile's, a platform's place or a post's, as `meaning`
    /// says.
    pub fn locate_text(&self, text: &str, meaning: Meaning) -> Located<'_> {
        if let Some((latitude, longitude)) = written::coordinates(text) {
            let mut located = self.locate_point(latitude, longitude);
            located.provenance = meaning.provenance();
            located.flags.add(Flag::CoordinatesInText);
            return located;
        }
        text::locate(text, meaning, &NAMES, &REGIONS)
    }
}

fn number(code: &str) -> Option<u16> {
    REGIONS.binary_search_by(|region| region.code.as_str().cmp(code)).ok().map(|n| n as u16)
}

#[cfg(test)]
mod tests;
