//! What an unknown name may mean: topics and regions by other codes, by their names, or misspelt.
//!
//! One answer for the command line, the API and files; none where nothing is near.

use atlas::regions::Region;
use atlas::{Atlas, Meaning, OwnRegions};
use lexicon::Lexicon;

use crate::roles::notifier;

/// Codes of countries that are in use beside ISO 3166-1: those of the European Union.
const OTHER_CODES: [(&str, &str); 2] = [("EL", "GR"), ("UK", "GB")];
/// A text that long is no name.
const NAME_BYTES_MAX: usize = 200;
/// Below this the atlas is not sure enough.
const CONFIDENCE_LEAST: f64 = 0.5;

/// The id of the topic that may be meant.
pub(crate) fn topic(lexicon: &Lexicon, written: &str) -> Option<String> {
    let written = written.trim();
    if written.is_empty() || written.len() > NAME_BYTES_MAX {
        return None;
    }
    let topics = lexicon.topics();
    let folded = folded(written);
    let by_id =
        topics.iter().find(|topic| self::folded(&topic.id) == folded).map(|topic| topic.id.clone());
    // What is counted for a topic when it is written as a hashtag.
    let by_tag =
        || lexicon.read(None, &[written], &[], false).topics.first().map(|hit| hit.id.to_owned());
    let names = notifier::topic_names();
    let by_name = || {
        let translated = |id: &str| names.get(id).into_iter().flat_map(|names| names.values());
        let is_named = |topic: &&lexicon::Topic| {
            self::folded(&topic.name) == folded
                || translated(&topic.id).any(|name| self::folded(name) == folded)
        };
        topics.iter().find(is_named).map(|topic| topic.id.clone())
    };
    let by_spelling = || {
        let nearest = topics
            .iter()
            .map(|topic| (strsim::damerau_levenshtein(written, &topic.id), topic.id.as_str()))
            .min();
        nearest
            .filter(|(distance, id)| *distance <= 2 && *distance * 3 <= id.len())
            .map(|(_, id)| id.to_owned())
    };
    by_id.or_else(by_tag).or_else(by_name).or_else(by_spelling)
}

/// The code of the region that may be meant.
pub(crate) fn region(atlas: &Atlas, written: &str) -> Option<String> {
    let written = written.trim();
    if written.is_empty() || written.len() > NAME_BYTES_MAX {
        return None;
    }
    let upper = written.to_ascii_uppercase();
    let (country, rest) = upper
        .split_once('-')
        .map_or((upper.as_str(), None), |(country, rest)| (country, Some(rest)));
    if let Some((_, iso)) = OTHER_CODES.into_iter().find(|(other, _)| *other == country) {
        let part =
            rest.map(|rest| format!("{iso}-{rest}")).filter(|code| atlas.name(code).is_some());
        return Some(part.unwrap_or_else(|| iso.to_owned()));
    }
    let folded = folded(written);
    let by_place = || {
        let located = atlas.locate_text(written, Meaning::AuthorAt);
        (located.is_located() && located.confidence >= CONFIDENCE_LEAST)
            .then(|| located.region.to_owned())
    };
    // An unknown first level counts as its country.
    let by_country = || rest.and_then(|_| atlas.region(country)).map(|region| region.code.clone());
    region_by_code(atlas, &folded)
        .or_else(|| region_by_name(atlas, &folded))
        .or_else(by_country)
        .or_else(by_place)
        .or_else(|| region_by_spelling(atlas, &folded))
        .filter(|near| *near != written)
}

fn region_by_code(atlas: &Atlas, folded: &str) -> Option<String> {
    let own = atlas.own().into_iter().flat_map(OwnRegions::each).map(|own| own.code);
    let mut codes = atlas.regions().iter().map(|region| region.code.as_str()).chain(own);
    codes.find(|code| self::folded(code) == folded).map(str::to_owned)
}

fn region_by_name(atlas: &Atlas, folded: &str) -> Option<String> {
    let is_named = |name: &str| self::folded(name) == folded;
    let is_meant =
        |region: &&Region| is_named(&region.name) || region.names().any(|(_, name)| is_named(name));
    // A country before a first level of the same name.
    let found = atlas.regions().iter().filter(is_meant).min_by_key(|region| !region.is_country());
    found.map(|region| region.code.clone()).or_else(|| {
        let mut own = atlas.own().into_iter().flat_map(OwnRegions::each);
        own.find(|own| own.name.is_some_and(is_named)).map(|own| own.code.to_owned())
    })
}

fn region_by_spelling(atlas: &Atlas, folded: &str) -> Option<String> {
    let distances = atlas
        .regions()
        .iter()
        .map(|region| (strsim::damerau_levenshtein(folded, &self::folded(&region.name)), region));
    let (distance, nearest) = distances
        .min_by_key(|(distance, region)| (*distance, !region.is_country(), region.code.as_str()))?;
    let is_near = distance <= 2 && distance * 4 <= folded.chars().count();
    is_near.then(|| nearest.code.clone())
}

/// Letters and digits only, in small letters: `DE_BY`, `de by` and `DE-BY` are one.
fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `did you mean …?`, or where to look.
pub(crate) fn hint(near: Option<String>, otherwise: &str) -> String {
    near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_other_codes_and_names() {
        let atlas = Atlas::new();
        for (written, code) in [
            ("EL", Some("GR")),
            ("UK", Some("GB")),
            ("uk", Some("GB")),
            ("FRANCE", Some("FR")),
            ("Bavaria", Some("DE-BY")),
            ("bayern", Some("DE-BY")),
            ("DE_BY", Some("DE-BY")),
            ("DEBY", Some("DE-BY")),
            ("Deutschland", Some("DE")),
            ("Germny", Some("DE")),
            ("DE-XX", Some("DE")),
            ("QQ", None),
            ("", None),
            ("xqzzy", None),
        ] {
            assert_eq!(region(&atlas, written).as_deref(), code, "{written}");
        }
    }

    #[test]
    fn topics_are_known_by_tags_and_names() {
        let config = crate::config::load(None, &[], std::iter::empty()).expect("the defaults");
        for (written, id) in [
            ("flu", Some("influenza")),
            ("Influenza", Some("influenza")),
            ("Grippe", Some("influenza")),
            ("influensa", Some("influenza")),
            ("COVID_19", Some("covid-19")),
            ("nope", None),
            ("", None),
        ] {
            assert_eq!(topic(&config.topics.lexicon, written).as_deref(), id, "{written}");
        }
    }
}
