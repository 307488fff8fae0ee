//! Reasons of verdicts: why a window has no answer, or what its answer rests on.
//!
//! Given by detectors and by the judging of windows; on the wire, in tables, exports and the API a
//! reason is its stable text, and no reason is an empty text.

use std::fmt;

use strum::VariantArray;

/// Why a window or point has no answer, or what its answer rests on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Reason {
    /// Fewer past values than the method needs.
    BaselineTooShort,
    /// All past values are equal and the method has no floor for the spread.
    ConstantBaseline,
    /// The point itself has no value.
    MissingValue,
    /// The point is below zero.
    NegativeCount,
    /// The point, or what follows from it, is not a finite number.
    NotFinite,
    /// The point is outside of `range`.
    NotMonitored,
    /// The model could not be fitted.
    NoFit,
    /// The in-control mean is 0, against which nothing can be measured.
    ZeroExpected,
    /// No alarm, because there are fewer recent cases than the method requires.
    TooFewCases,
    /// The denominator of the point is missing or 0.
    MissingPopulation,
    /// The point's time is not after that of a point before it.
    TimeNotIncreasing,
    /// The method counts single cases, and this is not a number of them.
    #[strum(serialize = "not-a-whole-number")]
    NotWhole,
    /// More cases than the method can look at one by one.
    TooManyCases,
    /// No place has more cases than expected.
    NoExcess,
    /// An answer without denominator: too few posts of the region were sampled.
    NoDenominator,
    /// A new installation has not seen enough yet.
    Learning,
    /// Not in alarm, but only a rise beyond tenfold would have been seen: no reason to call it
    /// calm.
    TooFewPosts,
    /// In alarm by the sum of many days, no single one of which need be in alarm.
    SlowRise,
    /// Too little of the window was seen.
    Coverage,
    /// Too many of the topic's posts wait for a place.
    Pending,
}

impl Reason {
    /// All reasons.
    pub const ALL: &'static [Reason] = Reason::VARIANTS;

    /// The stable text, in verdicts and in the output of `detect`.
    pub fn text(self) -> &'static str {
        self.into()
    }

    /// The reason of a stored text, none of an empty one.
    pub fn parse(text: &str) -> Result<Option<Reason>, UnknownReason> {
        if text.is_empty() {
            return Ok(None);
        }
        let found = Reason::ALL.iter().find(|reason| reason.text() == text);
        found.map(|reason| Some(*reason)).ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// The text of a verdict's reason, empty of none.
pub fn text_of(reason: Option<Reason>) -> &'static str {
    reason.map_or("", Reason::text)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason `{0}`")]
pub struct UnknownReason(String);

/// The serialised form of an optional reason.
pub mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{Reason, text_of};

    pub fn serialize<S: Serializer>(
        reason: &Option<Reason>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text_of(*reason))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Reason>, D::Error> {
        Reason::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_parsed_from_its_text() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.text()), Ok(Some(*reason)));
        }
        assert_eq!((Reason::parse(""), text_of(None)), (Ok(None), ""));
        assert!(Reason::parse("else").is_err());
    }
}
