use super::Words;

fn words() -> Words {
    Words::new(
        [("DE-BY".to_owned(), [("en".to_owned(), "Bavaria".to_owned())].into())].into(),
        Default::default(),
    )
}

#[test]
fn regions_have_names() {
    let named = |code| words().region(code);
    let names =
        ["DE", "DE-BY", "DE-SN", "lang:de", "lang:und", "001", "ZZ", "x:flood", "Q-Q"].map(named);
    let expected = [
        "Germany",
        "Bavaria",
        "DE-SN (Germany)",
        "German",
        "Language not stated",
        "World",
        "Place unknown",
        "x:flood",
        "Q-Q",
    ];
    assert_eq!(names, expected);
}
