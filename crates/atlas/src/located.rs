//! Result of geocoding: a region or `ZZ`, with confidence, evidence, and the reason for `ZZ`.

use record::region::{Level, UNLOCATED};

/// Where something is.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<'a> {
    /// The deepest region; `ZZ` if there is none.
    pub region: &'a str,
    pub country: Option<&'a str>,
    pub level: Level,
    /// The share of answers like this that are right; 0 for `ZZ`.
    pub confidence: f64,
    pub provenance: Provenance,
    pub flags: Flags,
    /// Why there is no region.
    pub reason: Option<Reason>,
    /// Overlays of the operator that hold it, whether or not a region does.
    pub overlays: Vec<&'a str>,
}

impl<'a> Located<'a> {
    pub(crate) fn nowhere(provenance: Provenance, reason: Reason) -> Located<'a> {
        Located {
            region: UNLOCATED,
            country: None,
            level: Level::Beside,
            confidence: 0.0,
            provenance,
            flags: Flags::default(),
            reason: Some(reason),
            overlays: Vec::new(),
        }
    }

    pub fn is_located(&self) -> bool {
        self.region != UNLOCATED
    }
}

/// What the answer was made from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    Coordinates,
    Place,
    Profile,
    Mention,
}

impl Provenance {
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Coordinates => "coordinates",
            Provenance::Place => "place",
            Provenance::Profile => "profile",
            Provenance::Mention => "mention",
        }
    }
}

/// What to know about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// Closer than 2 km to another country: maps differ there.
    NearBorder,
    /// At sea, within 10 km of the region.
    Coastal,
    /// Several places of one country are named: the answer is the country.
    Multi,
    /// The country is clear, which part of it is not.
    AmbiguousFirstLevel,
    /// The text held a flag that decided.
    FlagSign,
    /// The text held coordinates.
    CoordinatesInText,
}

const FLAGS: [(Flag, &str); 6] = [
    (Flag::NearBorder, "near-border"),
    (Flag::Coastal, "coastal"),
    (Flag::Multi, "multi"),
    (Flag::AmbiguousFirstLevel, "ambiguous-first-level"),
    (Flag::FlagSign, "flag"),
    (Flag::CoordinatesInText, "coordinates-in-text"),
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    bits: u8,
}

impl Flags {
    pub fn add(&mut self, flag: Flag) {
        self.bits |= 1 << flag as u8;
    }

    pub fn has(self, flag: Flag) -> bool {
        self.bits & (1 << flag as u8) != 0
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAGS.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

/// Why there is no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// (0, 0): what broken devices send.
    NullIsland,
    /// A coordinate that isn't a finite number.
    NotANumber,
    /// Beyond ±90 or ±180.
    OutOfRange,
    /// Farther than 10 km from any region.
    AtSea,
    Empty,
    /// No name of a place in it.
    NoPlace,
    /// Only words that are also places, like "home" or "nice".
    CommonWord,
    /// Several places in several countries.
    Multi,
    /// One name, several places of about the same size.
    Ambiguous,
    /// A place, but too small or too hidden in other words to be believed.
    Unsure,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::NullIsland => "null-island",
            Reason::NotANumber => "not-a-number",
            Reason::OutOfRange => "out-of-range",
            Reason::AtSea => "at-sea",
            Reason::Empty => "empty",
            Reason::NoPlace => "no-place",
            Reason::CommonWord => "common-word",
            Reason::Multi => "multi",
            Reason::Ambiguous => "ambiguous",
            Reason::Unsure => "unsure",
        }
    }
}
