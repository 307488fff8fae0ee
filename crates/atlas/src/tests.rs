use crate::Atlas;

mod own;
mod points;
mod texts;

/// Region, country, flags or reason: what a line of `locate` comes down to.
pub(crate) fn brief(located: &crate::Located) -> String {
    let mut brief = located.region.to_owned();
    for flag in located.flags.names() {
        brief.push(' ');
        brief.push_str(flag);
    }
    if let Some(reason) = located.reason {
        brief.push(' ');
        brief.push_str(reason.name());
    }
    brief
}

/// A number from the environment, for longer runs by hand and in `tests/run`.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_region_is_known_to_the_record_crate_and_sorted() {
    let atlas = Atlas::new();
    let table = record::region::RegionTable::new(&[]);
    for region in atlas.regions() {
        assert!(!table.path(&region.code).1, "{}", region.code);
        assert_eq!(atlas.region(&region.code), Some(region));
    }
    assert!(atlas.regions().is_sorted_by_key(|region| &region.code));
}

#[test]
fn the_bundle_knows_populations_names_and_time_zones() {
    let atlas = Atlas::new();
    let bavaria = atlas.region("DE-BY").unwrap();
    assert_eq!(
        (bavaria.name_in("en"), bavaria.name_in("de"), bavaria.name_in("fr")),
        ("Bavaria", "Bayern", "Bavière")
    );
    assert_eq!(bavaria.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(atlas.region("US-TX").unwrap().geonames, Some(4_736_286));
    assert_eq!(atlas.region("FR").unwrap().population, Some(68_374_600));
    let world: u64 = atlas.regions().iter().filter_map(|region| region.population).sum();
    assert!((7_900_000_000..8_300_000_000).contains(&world), "{world}");
}

#[test]
fn the_report_is_of_the_bundle_that_is_compiled_in() {
    let report = include_str!("../data/report.md");
    assert!(report.contains(&format!("| data version | `{}` |", crate::data_version())));
    assert!(report.contains(&blake3::hash(crate::FILE).to_hex().to_string()));
}

#[test]
fn a_damaged_bundle_is_refused() {
    use crate::bundle::{ARCS, Bundle, BundleError};
    assert_eq!(Bundle::new(b"GIF89a").unwrap_err(), BundleError::Magic);
    assert!(Bundle::new(&crate::FILE[..crate::FILE.len() - 1]).is_err());
    let mut damaged = crate::FILE.to_vec();
    let middle = damaged.len() / 3;
    damaged[middle..middle + 64].fill(0xff);
    let bundle = Bundle::new(&damaged).unwrap();
    let arcs = bundle.section(ARCS).and_then(|bytes| crate::borders::read(&bytes));
    assert!(arcs.is_err() || arcs.unwrap().is_empty() || damaged != crate::FILE);
}

#[test]
fn centres_lie_where_people_would_put_a_sign() {
    let atlas = Atlas::new();
    let centres = atlas.centres();
    let middle = |code: &str| {
        let at = atlas.regions().iter().position(|region| region.code == code).unwrap();
        let (latitude, longitude) = centres[at].unwrap();
        (latitude.round(), longitude.round())
    };
    for (code, latitude, longitude) in [
        ("DE", 51.0, 10.0),
        ("US-TX", 31.0, -99.0),
        ("FJ", -18.0, 178.0),
        ("US", 45.0, -112.0),
        ("RU", 62.0, 97.0),
    ] {
        let found = middle(code);
        assert!(
            (found.0 - latitude).abs() <= 2.0 && (found.1 - longitude).abs() <= 3.0,
            "{code}: {found:?}"
        );
    }
    assert!(
        centres
            .iter()
            .flatten()
            .all(|(latitude, longitude)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0)
    );
    let known = centres.iter().flatten().count();
    assert!(known * 100 > centres.len() * 95, "{known} of {}", centres.len());
}
