//! The regions of the bundle: code, parent, names, population, time zone, GeoNames number.
//!
//! Sorted by code, so that a region's number is the order of its code.

use crate::bundle::BundleError;

/// What the bundle knows of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub code: String,
    /// The number of its country; its own for a country.
    pub country: u16,
    pub name: String,
    pub geonames: Option<u32>,
    /// Inhabitants; known for countries.
    pub population: Option<u64>,
    /// The IANA time zone of most of its people.
    pub time_zone: Option<String>,
    /// `de=Bayern;fr=Bavière`, where it differs from `name`.
    names: String,
}

impl Region {
    /// Its name in a language, if the bundle has it, else in English.
    pub fn name_in(&self, language: &str) -> &str {
        let found =
            self.names.split(';').find_map(|pair| pair.strip_prefix(language)?.strip_prefix('='));
        found.unwrap_or(&self.name)
    }

    /// Language and name, of all languages in which it differs from `name`.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.split(';').filter_map(|pair| pair.split_once('='))
    }

    pub fn is_country(&self) -> bool {
        !self.code.contains('-')
    }
}

/// One region a line: code, name, GeoNames number, population, time zone, names; sorted by code; a
/// country before its parts.
pub fn read(bytes: &[u8]) -> Result<Vec<Region>, BundleError> {
    let text = std::str::from_utf8(bytes).map_err(|_| BundleError::Damaged("regions"))?;
    let mut regions: Vec<Region> = Vec::new();
    let mut country = 0;
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().ok_or(BundleError::Damaged("regions"));
        let (code, name, geonames, population, time_zone, names) =
            (field()?, field()?, field()?, field()?, field()?, field()?);
        if !code.contains('-') {
            country = regions.len() as u16;
        }
        regions.push(Region {
            code: code.to_owned(),
            country,
            name: name.to_owned(),
            geonames: geonames.parse().ok(),
            population: population.parse().ok(),
            time_zone: (!time_zone.is_empty()).then(|| time_zone.to_owned()),
            names: names.to_owned(),
        });
    }
    Ok(regions)
}
