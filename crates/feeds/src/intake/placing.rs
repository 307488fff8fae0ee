//! Place of a post, from its own data, in the configured order of evidence.
//!
//! A `region` that the source states is believed before anything else; then coordinates, a
//! platform's place, the author's profile and, where wanted, places that the text mentions. What it
//! finds is a path of codes; texts and coordinates end here.

use std::sync::Arc;

use atlas::{Atlas, Located, Meaning};
use record::region::RegionTable;
use record::{Place, Provenance};

use crate::line::PostItem;

/// What a place may be taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Where the device was.
    Coordinates,
    /// The place that the platform names.
    Place,
    /// What the author says to live in.
    Profile,
    /// What the post speaks of: no residence.
    Mention,
}

impl Evidence {
    pub const ALL: [Evidence; 4] =
        [Evidence::Coordinates, Evidence::Place, Evidence::Profile, Evidence::Mention];

    pub fn name(self) -> &'static str {
        match self {
            Evidence::Coordinates => "coordinates",
            Evidence::Place => "place",
            Evidence::Profile => "profile",
            Evidence::Mention => "mention",
        }
    }
}

/// How posts are placed.
#[derive(Debug, Clone)]
pub struct Placing {
    pub atlas: Arc<Atlas>,
    /// Best first; what isn't named isn't used.
    pub evidence: Vec<Evidence>,
    /// Whether a post of a crisis topic that has no place counts, for that topic, where its text
    /// mentions one.
    pub mentions_in_crises: bool,
    /// Answers to texts that are less sure than this, 0 to 1, count as none.
    pub confidence_min: f64,
}

impl Default for Placing {
    fn default() -> Placing {
        Placing {
            atlas: Arc::new(Atlas::new()),
            evidence: vec![Evidence::Coordinates, Evidence::Place, Evidence::Profile],
            mentions_in_crises: true,
            confidence_min: atlas::CONFIDENCE_MIN,
        }
    }
}

impl Placing {
    /// The first evidence of a post that gives a region.
    pub(super) fn of_post(&self, item: &PostItem<'_>, regions: &RegionTable) -> Option<Place> {
        self.evidence.iter().find_map(|evidence| match evidence {
            Evidence::Coordinates => {
                let (latitude, longitude) = item.coordinates?;
                place(
                    &self.atlas.locate_point(latitude, longitude),
                    record::Meaning::AuthorAt,
                    Provenance::Coordinates,
                    regions,
                )
            }
            Evidence::Place => self.of_text(item.place.as_deref()?, Meaning::AuthorAt, regions),
            Evidence::Profile => {
                self.of_text(item.profile.as_deref()?, Meaning::AuthorHome, regions)
            }
            Evidence::Mention => self.of_text(item.text.as_deref()?, Meaning::Mentioned, regions),
        })
    }

    pub(super) fn of_text(
        &self,
        text: &str,
        meaning: Meaning,
        regions: &RegionTable,
    ) -> Option<Place> {
        let located = self.atlas.locate_text(text, meaning);
        let (meaning, provenance) = match meaning {
            Meaning::AuthorAt => (record::Meaning::AuthorAt, Provenance::Platform),
            Meaning::AuthorHome => (record::Meaning::AuthorHome, Provenance::Profile),
            Meaning::Mentioned => (record::Meaning::Mentioned, Provenance::Text),
        };
        if located.confidence < self.confidence_min {
            None
        } else {
            place(&located, meaning, provenance, regions)
        }
    }

    /// The region that people's description of themselves names: "nurse | she/her | Leeds, UK".
    ///
    /// It is no field for places, so each of its parts is read on its own, and only clear ones that
    /// agree are believed.
    pub(super) fn of_description(&self, text: &str, regions: &RegionTable) -> Option<Place> {
        let mut found: Option<Place> = None;
        for part in text
            .split(['\n', '|', '•', '·', ';', '📍'])
            .map(str::trim)
            .filter(|part| part.len() <= PART_BYTES_MAX)
        {
            let Some(place) = self
                .of_text(part, Meaning::AuthorHome, regions)
                .filter(|place| place.confidence >= DESCRIPTION_MIN)
            else {
                continue;
            };
            found = match found {
                Some(before) if country(&before) != country(&place) => return None,
                Some(before) if before.path.len() >= place.path.len() => Some(before),
                _ => Some(place),
            };
        }
        found
    }

    /// The operator's overlays that hold the post's coordinates.
    pub(super) fn overlays(&self, item: &PostItem<'_>) -> Vec<String> {
        let Some((latitude, longitude)) = item.coordinates.filter(|_| self.has_overlays()) else {
            return Vec::new();
        };
        let located = self.atlas.locate_point(latitude, longitude);
        located.overlays.into_iter().map(str::to_owned).collect()
    }

    fn has_overlays(&self) -> bool {
        self.atlas.own().is_some()
    }
}

/// Percent.
const DESCRIPTION_MIN: u8 = 80;
const PART_BYTES_MAX: usize = 80;

fn country(place: &Place) -> &str {
    place.path.split('/').next().unwrap_or_default()
}

fn place(
    located: &Located<'_>,
    meaning: record::Meaning,
    provenance: Provenance,
    regions: &RegionTable,
) -> Option<Place> {
    if !located.is_located() {
        return None;
    }
    let (path, _) = regions.path(located.region);
    let confidence = (located.confidence * 100.0).round().clamp(0.0, 100.0) as u8;
    Some(Place { path, meaning, provenance, confidence })
}
