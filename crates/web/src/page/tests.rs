use super::*;

/// What a browser fetches at most, packed: all scripts and styles, and beside them the words of one
/// language.
const PAGE_BYTES_MAX: usize = 80_000;
const WORDS_BYTES_MAX: usize = 10_000;

#[test]
fn script_and_style_stay_small() {
    let size = |file: &File| file.packed().1.len();
    let kinds = |kind| FILES.iter().filter(move |file| file.kind == kind);
    let scripts: usize = kinds(SCRIPT).chain(kinds(STYLE)).map(size).sum();
    let language = kinds(DATA).map(size).max().unwrap();
    assert!(scripts <= PAGE_BYTES_MAX, "{scripts} bytes of scripts and styles");
    assert!(language <= WORDS_BYTES_MAX, "{language} bytes of words in the largest language");
}

/// What others wrote is byte for byte what they released, and NOTICE says whose it is.
#[test]
fn vendored_files_are_as_their_authors_released_them() {
    let list = include_str!("../../page/vendor/SOURCES");
    let notice = include_str!("../../../../NOTICE");
    let mut named = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let [hash, name, package, _path, licence] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("`{line}`")
        };
        let file = FILES
            .iter()
            .find(|file| file.path == format!("/vendor/{name}"))
            .unwrap_or_else(|| panic!("{name} isn't served"));
        assert_eq!(blake3::hash(file.text.as_bytes()).to_hex().as_str(), hash, "{name}");
        let (package, version) = package.rsplit_once('@').unwrap();
        assert!(
            notice.contains(&format!("{package} {version}")) && notice.contains(licence),
            "{package} {version} ({licence}) isn't in NOTICE"
        );
        named.push(file.path);
    }
    let vendored: Vec<&str> =
        FILES.iter().map(|file| file.path).filter(|path| path.starts_with("/vendor/")).collect();
    named.sort_unstable();
    let mut sorted = vendored;
    sorted.sort_unstable();
    assert_eq!(named, sorted);
}

/// Nothing inline, nothing from elsewhere: what the policy forbids isn't tried.
#[test]
fn the_page_needs_nothing_that_its_policy_forbids() {
    for forbidden in
        [" style=", "<style", "onclick=", "onload=", "javascript:", "http://", "https://"]
    {
        assert!(!SHELL.contains(forbidden), "{forbidden}");
    }
    assert_eq!(
        SHELL.matches("<script").count(),
        SHELL.matches("<script src=\"/").count()
            + SHELL.matches("<script type=\"module\" src=\"/").count()
    );
    for file in
        FILES.iter().filter(|file| !file.path.starts_with("/vendor/") && file.kind == SCRIPT)
    {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "dangerouslySet",
            "style=",
        ] {
            assert!(!file.text.contains(forbidden), "{} has {forbidden}", file.path);
        }
    }
}

/// Every language says the same things, with the same places for numbers.
#[test]
fn languages_say_the_same() {
    let read = |language: &str| -> BTreeMap<String, String> {
        let file =
            FILES.iter().find(|file| file.path == format!("/words/{language}.json")).unwrap();
        serde_json::from_str(file.text).unwrap_or_else(|why| panic!("{language}: {why}"))
    };
    let holes = |text: &str| -> Vec<String> {
        let mut holes: Vec<String> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(hole, _)| hole.to_owned())
            .collect();
        holes.sort();
        holes.dedup();
        holes
    };
    let english = read("en");
    for language in ["fr", "es", "de"] {
        let other = read(language);
        let missing: Vec<&String> =
            english.keys().filter(|key| !other.contains_key(*key)).collect();
        let further: Vec<&String> =
            other.keys().filter(|key| !english.contains_key(*key)).collect();
        assert!(
            missing.is_empty() && further.is_empty(),
            "{language}: missing {missing:?}, further {further:?}"
        );
        for (key, text) in &english {
            assert_eq!(holes(text), holes(&other[key]), "{language}: {key}");
            assert!(!other[key].trim().is_empty(), "{language}: {key}");
        }
    }
    // Each phrase is used, and what is used exists.
    let scripts: String = FILES
        .iter()
        .filter(|file| file.kind == SCRIPT && !file.path.starts_with("/vendor/"))
        .map(|file| file.text)
        .collect();
    let unused: Vec<&String> = english.keys().filter(|key| !is_used(&scripts, key)).collect();
    assert!(unused.is_empty(), "no script says {unused:?}");
    for (at, _) in scripts
        .match_indices("t(\"")
        .filter(|(at, _)| !scripts[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '.'))
    {
        let Some((said, _)) = scripts[at + 3..].split_once('"') else { continue };
        assert!(english.contains_key(said), "`{said}` is said in no language");
    }
}

/// Literally, or by a prefix that ends with a hyphen (`state-${…}`); plurals by their stem.
fn is_used(scripts: &str, key: &str) -> bool {
    let stem = key.strip_suffix("_one").or_else(|| key.strip_suffix("_other")).unwrap_or(key);
    let begun = |prefix: &str| scripts.contains(&format!("`{prefix}${{"));
    scripts.contains(&format!("\"{stem}\""))
        || stem.match_indices('-').any(|(at, _)| begun(&stem[..=at]))
}

#[test]
fn shapes_are_whole_and_bear_codes_that_exist() {
    let table = record::region::RegionTable::new(&[]);
    let check = |name: &str, text: &str| {
        let shapes: serde_json::Value = serde_json::from_str(text).unwrap();
        let arcs = shapes["arcs"].as_array().unwrap().len() as i64;
        let places = shapes["objects"]["regions"]["geometries"].as_array().unwrap();
        assert!(!places.is_empty(), "{name}");
        for place in places {
            let code = place["id"].as_str().unwrap();
            let (path, unknown) = table.path(code);
            assert!(!unknown && path.ends_with(code), "{name}: {code}");
            for arc in
                place["arcs"].as_array().unwrap().iter().flat_map(|ring| ring.as_array().unwrap())
            {
                let at = arc.as_i64().unwrap();
                assert!((if at < 0 { !at } else { at }) < arcs, "{name}: {code}");
            }
        }
        places.len()
    };
    assert!(check("world", WORLD.text) > 230);
    for (country, file) in FIRST.iter() {
        check(country, file.text);
    }
    assert_eq!(check("DE", FIRST["DE"].text), 16);
}
