//! Own regions: what a file may hold, and the errors for anything else.

use serde_json::{Value, json};

use super::brief;
use crate::{Atlas, Misplaced, OwnError};

fn square(west: f64, south: f64, size: f64) -> Value {
    let (east, north) = (west + size, south + size);
    json!({"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
}

fn feature(code: &str, parent: Option<&str>, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": {"code": code, "parent": parent, "name": code}, "geometry": geometry})
}

fn file(features: &[Value]) -> String {
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

fn errors(features: &[Value]) -> Vec<String> {
    Atlas::with_own(&[&file(features)]).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_county_and_an_overlay_across_a_border() {
    let atlas = Atlas::with_own(&[&file(&[
        feature("us-tx-travis", Some("us-tx"), square(-98.0, 30.0, 0.5)),
        feature("US-TX-NEXT", Some("US-TX"), square(-97.5, 30.0, 0.5)),
        feature("x:flood", None, square(-107.0, 31.0, 1.5)),
    ])])
    .unwrap();
    let county = atlas.locate_point(30.25, -97.75);
    assert_eq!(
        (county.region, county.country, county.level.number()),
        ("US-TX-TRAVIS", Some("US"), 2)
    );
    // On the shared edge the first in the file has it.
    assert_eq!(atlas.locate_point(30.25, -97.5).region, "US-TX-TRAVIS");
    assert_eq!(atlas.locate_point(30.25, -97.4).region, "US-TX-NEXT");
    // El Paso and Juárez lie in two countries and one flood.
    for (latitude, longitude, region) in [(31.85, -106.43, "US-TX"), (31.6, -106.5, "MX-CHH")] {
        let located = atlas.locate_point(latitude, longitude);
        assert_eq!((located.region, located.overlays.as_slice()), (region, ["x:flood"].as_slice()));
    }
    assert_eq!(brief(&atlas.locate_point(0.0, 0.0)), "ZZ null-island");
    let table = record::region::RegionTable::new(&atlas.own().unwrap().table());
    assert_eq!(table.path("US-TX-TRAVIS").0, "US/US-TX/US-TX-TRAVIS");
}

#[test]
fn winding_and_holes_are_understood() {
    let reversed = json!({"type": "Polygon", "coordinates": [
        [[9.0, 49.0], [9.0, 49.8], [9.8, 49.8], [9.8, 49.0], [9.0, 49.0]],
        [[9.2, 49.2], [9.2, 49.4], [9.4, 49.4], [9.4, 49.2], [9.2, 49.2]]]});
    let atlas = Atlas::with_own(&[&file(&[feature("x:ring", None, reversed)])]).unwrap();
    assert_eq!(atlas.locate_point(49.1, 9.1).overlays, ["x:ring"]);
    assert!(atlas.locate_point(49.3, 9.3).overlays.is_empty());
}

#[test]
fn each_mistake_is_named() {
    let bow_tie = json!({"type": "Polygon", "coordinates": [[[9.0, 49.0], [9.5, 49.5], [9.5, 49.0], [9.0, 49.6], [9.0, 49.0]]]});
    let open = json!({"type": "Polygon", "coordinates": [[[9.0, 49.0], [9.5, 49.0], [9.5, 49.5]]]});
    let metres = json!({"type": "Polygon", "coordinates": [[[500_000.0, 5_400_000.0], [500_100.0, 5_400_000.0], [500_100.0, 5_400_100.0], [500_000.0, 5_400_000.0]]]});
    let cases: [(Vec<Value>, &str); 13] = [
        (vec![feature("DE-BW-1", Some("DE-BW"), bow_tie)], "`DE-BW-1` crosses itself near"),
        (vec![feature("DE-BW-1", Some("DE-BW"), open)], "ring 1 isn't closed"),
        (
            vec![feature("DE-BW-1", Some("DE-BW"), metres)],
            "isn't longitude and latitude in degrees",
        ),
        (
            vec![feature(
                "DE-BW-1",
                Some("DE-BW"),
                json!({"type": "Point", "coordinates": [9, 49]}),
            )],
            "its geometry is `Point`",
        ),
        (
            vec![feature("DE-BW-1", Some("DE-XX"), square(9.0, 48.5, 0.1))],
            "the parent `DE-XX` isn't a country",
        ),
        (
            vec![feature("DE-BW-1", Some("FR"), square(9.0, 48.5, 0.1))],
            "doesn't lie in its parent `FR`: only 0 %",
        ),
        (
            vec![
                feature("DE-BW-1", Some("DE-BW"), square(9.0, 48.5, 0.2)),
                feature("DE-BW-2", Some("DE-BW"), square(9.1, 48.5, 0.2)),
            ],
            "overlap by 5",
        ),
        (vec![feature("DE-BY", Some("DE"), square(11.0, 48.5, 0.2))], "it is a code of ISO 3166"),
        (
            vec![feature("flood", None, square(9.0, 48.5, 0.2))],
            "an overlay's code begins with `x:`",
        ),
        (
            vec![
                feature("x:a", None, square(9.0, 48.5, 0.2)),
                feature("x:a", None, square(9.5, 48.5, 0.2)),
            ],
            "already that of feature 1",
        ),
        (
            vec![json!({"type": "Feature", "properties": {}, "geometry": null})],
            "feature 1: no `code`",
        ),
        (
            vec![feature(
                "x:wide",
                None,
                json!({"type": "Polygon", "coordinates": [[[-179.0, 1.0], [179.0, 1.0], [179.0, 2.0], [-179.0, 1.0]]]}),
            )],
            "spans more than 180 degrees",
        ),
        (
            vec![feature(
                "x:line",
                None,
                json!({"type": "Polygon", "coordinates": [[[1.0, 1.0], [2.0, 2.0], [1.0, 1.0]]]}),
            )],
            "has fewer than three distinct points",
        ),
    ];
    for (features, expected) in cases {
        let found = errors(&features);
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
    assert_eq!(
        errors(&[
            feature("flood", None, square(1.0, 1.0, 0.1)),
            feature("FR-X", Some("DE"), square(2.0, 46.0, 0.1))
        ])
        .len(),
        1
    );
    let of_text = |text: &str| {
        Atlas::with_own(&[text])
            .unwrap_err()
            .into_iter()
            .map(|error| error.error)
            .collect::<Vec<_>>()
    };
    assert!(matches!(of_text("{")[..], [OwnError::Json(_, 1)]));
    assert_eq!(of_text("[]"), [OwnError::NotAFeatureCollection]);
    let long = " ".repeat(crate::own::FILE_BYTES_MAX + 1);
    assert!(matches!(of_text(&long)[..], [OwnError::FileSize { .. }]));
}

#[test]
fn mistakes_are_told_with_their_file_and_line() {
    let fine = file(&[feature("x:a", None, square(9.0, 48.5, 0.2))]);
    let broken = format!(
        "{{\"features\": [],\n \"note\": \"}} \\\" {{ [\", \"bbox\": [1,\n 2], \
            \"features\":\n[\n{},\n\n{}],\n \"type\": \"FeatureCollection\"}}",
        feature("x:b", None, square(1.0, 1.0, 1.0)),
        feature("X:A", None, square(1.0, 1.0, 1.0)),
    );
    let found = Atlas::with_own(&[&fine, &broken]).unwrap_err();
    // `X:` isn't how an overlay's code begins.
    assert_eq!(found.iter().map(|error| (error.file, error.line)).collect::<Vec<_>>(), [(1, 7)]);
    let twice = file(&[feature("x:A", None, square(1.0, 1.0, 1.0))]);
    let found = Atlas::with_own(&[&fine, &twice]).unwrap_err();
    assert!(
        matches!(&found[..], [Misplaced { file: 1, line: 1, error: OwnError::Twice { .. } }]),
        "{found:?}"
    );
}
