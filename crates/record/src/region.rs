//! Regions: the tree of places we count for, and the overlays beside it.
//!
//! World `001` > country (ISO 3166-1) > first level (ISO 3166-2) > operator's own; `ZZ` is what
//! can't be placed.
//! Beside the tree stand overlays: `lang:xx`, and polygons that fit no parent (`x:flood`).
//! Knows codes and parents only; where a post comes from is decided by `atlas`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

pub const WORLD: &str = "001";
pub const UNLOCATED: &str = "ZZ";
pub const NO_LANGUAGE: &str = "lang:und";

/// A country a line, then what follows the hyphen in its ISO 3166-2 codes. Facts of ISO 3166; `XK`
/// is in common use beside it.
const CODES: &str = include_str!("../data/regions.txt");

static KNOWN: LazyLock<BTreeMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    CODES
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.collect()))
        })
        .collect()
});

/// A region that the operator adds: a child of `parent`, or an overlay without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnRegion {
    pub code: String,
    pub parent: Option<String>,
}

/// What a level of the region tree is called in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// The world, and overlays that stand beside the tree.
    Beside,
    Country,
    First,
    Own,
}

impl Level {
    /// -1 world and overlays, 0 country, 1 first level, 2 operator's own.
    pub fn number(self) -> i8 {
        match self {
            Level::Beside => -1,
            Level::Country => 0,
            Level::First => 1,
            Level::Own => 2,
        }
    }
}

/// The known regions: ISO 3166, and the operator's own.
#[derive(Debug, Clone, Default)]
pub struct RegionTable {
    own: BTreeMap<String, Option<String>>,
}

impl RegionTable {
    pub fn new(own: &[OwnRegion]) -> RegionTable {
        RegionTable {
            own: own
                .iter()
                .map(|region| (region.code.to_ascii_uppercase(), region.parent.clone()))
                .collect(),
        }
    }

    /// The path of a region code, from country to the region itself, joined by `/`, and whether the
    /// code was unknown.
    ///
    /// An unknown code is its country if that is known, else `ZZ`.
    pub fn path(&self, code: &str) -> (String, bool) {
        let code = code.trim().to_ascii_uppercase();
        if let Some(Some(parent)) = self.own.get(&code) {
            let (parent, unknown) = self.path(parent);
            return (format!("{parent}/{code}"), unknown);
        }
        if code == UNLOCATED {
            return (code, false);
        }
        let (country, rest) = code
            .split_once('-')
            .map_or((code.as_str(), None), |(country, rest)| (country, Some(rest)));
        match (KNOWN.get(country), rest) {
            (Some(_), None) => (code, false),
            (Some(levels), Some(rest)) if levels.binary_search(&rest).is_ok() => {
                (format!("{country}/{code}"), false)
            }
            (Some(_), Some(_)) => (country.to_owned(), true),
            (None, _) => (UNLOCATED.to_owned(), true),
        }
    }

    pub fn level(&self, code: &str) -> Level {
        if code == WORLD || code.contains(':') {
            Level::Beside
        } else if self.own.contains_key(code) {
            Level::Own
        } else if code.contains('-') {
            Level::First
        } else {
            Level::Country
        }
    }

    /// The country above a region of the tree; none for the world, overlays and `ZZ`.
    pub fn country(&self, code: &str) -> Option<String> {
        if code == WORLD || code == UNLOCATED || code.contains(':') {
            return None;
        }
        let (path, _) = self.path(code);
        path.split('/').next().filter(|country| *country != UNLOCATED).map(str::to_owned)
    }

    /// Whether `below` is `above` or stands under it in the tree. Overlays stand beside the tree:
    /// below nothing but the world.
    pub fn within(&self, below: &str, above: &str) -> bool {
        let in_tree =
            || !below.contains(':') && self.path(below).0.split('/').any(|code| code == above);
        above == WORLD || below == above || in_tree()
    }
}

/// Whether a code is a country of ISO 3166-1.
pub fn is_country(code: &str) -> bool {
    KNOWN.contains_key(code)
}

/// The last code of a path: the post's own region.
pub fn own_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
