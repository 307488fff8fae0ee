use super::*;

#[test]
fn a_token_opens_until_it_is_revoked_and_stands_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder.path().join("data"));
    let lookup = lookup(file.clone());
    let tokens = |token: &str| lookup(&blake3::hash(token.as_bytes()));
    assert_eq!(tokens("anything"), None);
    let official = create(&file, "Duty officer", Role::Official, "2026-11-22").unwrap();
    let viewer = create(&file, "board", Role::Viewer, "2026-11-22").unwrap();
    assert_eq!(
        tokens(&official),
        Some(Holder { name: "Duty officer".to_owned(), role: Role::Official })
    );
    assert_eq!(tokens(&viewer).map(|holder| holder.role), Some(Role::Viewer));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&official) && !text.contains(&official[PREFIX.len()..]), "{text}");
    for forged in [
        "",
        "ph_",
        "Duty officer",
        &official[1..],
        &format!("{official}0"),
        text.lines().next().unwrap().split('\t').nth(2).unwrap(),
    ] {
        assert_eq!(tokens(forged), None, "{forged}");
    }
    assert!(
        create(&file, "board", Role::Operator, "2026-11-22")
            .unwrap_err()
            .to_string()
            .contains("`board` already")
    );
    for name in ["", "a\tb", "a\nb", &"x".repeat(81)] {
        create(&file, name, Role::Viewer, "2026-11-22").unwrap_err();
    }
    revoke(&file, "board").unwrap();
    // Some file systems know times only by the second.
    let later = SystemTime::now() + std::time::Duration::from_secs(2);
    fs::OpenOptions::new().append(true).open(&file).unwrap().set_modified(later).unwrap();
    assert_eq!(tokens(&viewer), None);
    assert!(tokens(&official).is_some());
    assert!(revoke(&file, "board").unwrap_err().to_string().contains("no token `board`"));
}

#[test]
fn a_damaged_file_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(folder.path());
    let token = create(&file, "board", Role::Viewer, "2026-11-22").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("viewer", "root")).unwrap();
    assert_eq!(lookup(file.clone())(&blake3::hash(token.as_bytes())), None);
    assert!(read(&file).unwrap_err().to_string().contains("line 1"));
}
