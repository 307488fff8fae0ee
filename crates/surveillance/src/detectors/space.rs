//! Detectors of space and time: where, not only whether, counts rise.
//!
//! They take counts of many places at once and give, for `stcd`, a judgement of each row, and for
//! the scans the clusters of places and times that stand out most. Like the other detectors they
//! are pure: the random numbers of a Monte-Carlo test come from the `seed` among the parameters, so
//! the same input always gives the same p.

mod random;
mod scan;
mod stcd;
#[cfg(test)]
mod tests;

pub use scan::{Cluster, Scan};
pub use stcd::{Stcd, StcdAnswer};

use super::parameters::Parameters;
use super::{ParamError, Reason, unknown_method, usable};
use libm::{asin, cos, sin, sqrt};

/// Mean radius of the Earth in km.
const EARTH_KM: f64 = 6371.0088;

/// A place: `x` and `y` in any one unit, or longitude and latitude in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// East, or the longitude.
    pub x: f64,
    /// North, or the latitude.
    pub y: f64,
}

/// What was counted at a place in a step of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Index of the place.
    pub place: usize,
    /// When, in any unit; equal times are one step.
    pub time: f64,
    /// The count; `None` where missing.
    pub observed: Option<f64>,
    /// The denominator, for the scans that take one.
    pub population: Option<f64>,
    /// A model's expectation, for the scan that takes one.
    pub expected: Option<f64>,
}

/// How far two places are from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// √(Δx² + Δy²).
    Planar,
    /// Over the Earth, in km; x is the longitude, y the latitude.
    GreatCircle,
}

impl Distance {
    const NAMES: [&'static str; 2] = ["planar", "great-circle"];

    fn read(parameters: &mut Parameters) -> Result<Distance, ParamError> {
        let word = parameters.word(&["distance"], &Distance::NAMES)?;
        Ok(if word == Some(1) { Distance::GreatCircle } else { Distance::Planar })
    }

    fn between(self, a: Place, b: Place) -> f64 {
        match self {
            Distance::Planar => libm::hypot(a.x - b.x, a.y - b.y),
            Distance::GreatCircle => {
                let half = std::f64::consts::PI / 360.0;
                let (north, east) = (sin((b.y - a.y) * half), sin((b.x - a.x) * half));
                let share =
                    north * north + cos(a.y * 2.0 * half) * cos(b.y * 2.0 * half) * east * east;
                2.0 * EARTH_KM * asin(sqrt(share.min(1.0)))
            }
        }
    }
}

/// A detector of space and time with its parameters, as made by [`SpaceMethod::parse`].
#[derive(Clone, Debug, PartialEq)]
pub enum SpaceMethod {
    /// The space-time Shiryaev-Roberts procedure: judges rows.
    Stcd(Stcd),
    /// A scan statistic: finds clusters.
    Scan(Scan),
}

impl SpaceMethod {
    /// Every name that [`SpaceMethod::parse`] knows.
    pub const NAMES: &'static [&'static str] =
        &["stcd", "space-time-permutation", "prospective-poisson", "expectation-based-poisson"];

    /// Reads a method by its name and its parameters as `(key, value)` pairs, as
    /// [`super::Method::parse`] does.
    pub fn parse(name: &str, params: &[(String, String)]) -> Result<SpaceMethod, ParamError> {
        let Some(&name) = SpaceMethod::NAMES.iter().find(|known| **known == name) else {
            return Err(unknown_method(name));
        };
        let mut parameters = Parameters::new(name, params)?;
        let method = match name {
            "stcd" => SpaceMethod::Stcd(Stcd::read(&mut parameters)?),
            "space-time-permutation" => {
                SpaceMethod::Scan(Scan::read(scan::Kind::Permutation, &mut parameters)?)
            }
            "prospective-poisson" => {
                SpaceMethod::Scan(Scan::read(scan::Kind::Poisson, &mut parameters)?)
            }
            "expectation-based-poisson" => {
                SpaceMethod::Scan(Scan::read(scan::Kind::Expectation, &mut parameters)?)
            }
            _ => return Err(unknown_method(name)),
        };
        parameters.finish()?;
        Ok(method)
    }
}

/// A count of single cases, each of which is moved or looked at by itself.
fn whole(observed: Option<f64>) -> Result<f64, Reason> {
    let value = usable(observed)?;
    if value == libm::floor(value) { Ok(value) } else { Err(Reason::NotWhole) }
}
