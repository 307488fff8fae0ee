use super::*;

#[test]
fn codes_find_their_place_in_the_tree() {
    let table = RegionTable::new(&[
        OwnRegion { code: "us-tx-travis".into(), parent: Some("US-TX".into()) },
        OwnRegion { code: "x:flood".into(), parent: None },
    ]);
    let path = |code: &str| table.path(code);
    assert_eq!(path("us-tx"), ("US/US-TX".into(), false));
    assert_eq!(path("US"), ("US".into(), false));
    assert_eq!(path("US-ZZZ"), ("US".into(), true));
    assert_eq!(path("QQ-1"), ("ZZ".into(), true));
    assert_eq!(path("Atlantis"), ("ZZ".into(), true));
    assert_eq!(path("ZZ"), ("ZZ".into(), false));
    assert_eq!(path("US-TX-Travis"), ("US/US-TX/US-TX-TRAVIS".into(), false));
    assert_eq!(table.country("US-TX-TRAVIS").as_deref(), Some("US"));
    assert_eq!(table.country("lang:fr"), None);
    assert_eq!(
        [WORLD, "lang:fr", "ZZ", "US", "US-TX", "US-TX-TRAVIS"]
            .map(|code| table.level(code).number()),
        [-1, -1, 0, 0, 1, 2]
    );
}

#[test]
fn a_region_is_within_what_stands_above_it_and_an_overlay_within_the_world_only() {
    let table = RegionTable::new(&[OwnRegion {
        code: "VALLEY".to_owned(),
        parent: Some("DE-BY".to_owned()),
    }]);
    for (below, above) in [
        ("DE-BY", "DE"),
        ("VALLEY", "DE-BY"),
        ("VALLEY", "DE"),
        ("DE", "DE"),
        ("ZZ", "ZZ"),
        ("lang:de", "lang:de"),
    ] {
        assert!(table.within(below, above) && table.within(below, WORLD), "{below} {above}");
    }
    for (below, above) in [
        ("DE", "DE-BY"),
        ("DE", "FR"),
        ("lang:de", "DE"),
        ("lang:de", UNLOCATED),
        ("x:flood", UNLOCATED),
        (WORLD, "DE"),
    ] {
        assert!(!table.within(below, above), "{below} {above}");
    }
}
