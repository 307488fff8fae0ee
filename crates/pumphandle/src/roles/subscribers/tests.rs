use journal::memory::MemoryJournal;
use serde_json::json;

use super::*;
use crate::config;

fn noon() -> Micros {
    1_767_614_400_000_000
}

fn set(name: &str, after: u32, fields: Value) -> SubscriptionWish {
    SubscriptionWish::Set { name: name.to_owned(), after, subscription: fields }
}

#[test]
fn a_subscription_is_made_changed_and_taken_away_and_who_is_late_is_told() {
    let journal = MemoryJournal::new(1);
    let mut config = config::built_in(&[]).unwrap();
    let file = "[[subscription]]\nname = \"of-file\"\nchannel = \"stdout\"";
    config.notify.subscriptions =
        subscription::parse_subscriptions("a.toml", file, std::path::Path::new("")).unwrap();
    let book = Book { journal: &journal, config: &config, clock: noon };
    let names = |stored: &[StoredSubscription]| {
        stored
            .iter()
            .map(|stored| (stored.name.clone(), stored.of_file, stored.revision))
            .collect::<Vec<_>>()
    };
    let of_file = ("of-file".to_owned(), true, 0);
    assert_eq!(
        names(&book.answer(SubscriptionWish::List, "ann").unwrap().subscriptions),
        std::slice::from_ref(&of_file)
    );

    let fields =
        json!({ "channel": "feed", "topics": ["fever"], "regions": ["DE-BY"], "name": "another" });
    let made = book.answer(set("bavaria", 0, fields.clone()), "ann").unwrap().subscriptions;
    assert_eq!(names(&made), [("bavaria".to_owned(), false, 1), of_file.clone()]);
    assert_eq!(
        (made[0].by.as_str(), made[0].at, &made[0].subscription["name"]),
        ("ann", Some(noon()), &json!("bavaria"))
    );
    assert_eq!(
        book.answer(set("bavaria", 0, fields.clone()), "bo"),
        Err(SubscriptionRefused::Stale)
    );
    let changed = book
        .answer(set("bavaria", 1, json!({ "channel": "feed", "audience": "official" })), "bo")
        .unwrap()
        .subscriptions;
    assert_eq!((changed[0].revision, changed[0].by.as_str()), (2, "bo"));
    let told = of_page(&stored(&journal).unwrap(), &config.notify.subscriptions);
    assert_eq!(
        (told.len(), told[0].audience, told[0].topics.len()),
        (1, notify::Audience::Official, 0)
    );

    let remove = |after| SubscriptionWish::Remove { name: "bavaria".to_owned(), after };
    assert_eq!(book.answer(remove(1), "ann"), Err(SubscriptionRefused::Stale));
    assert_eq!(names(&book.answer(remove(2), "ann").unwrap().subscriptions), [of_file]);
    assert_eq!(book.answer(remove(2), "ann"), Err(SubscriptionRefused::Unknown));
    assert_eq!(
        book.answer(SubscriptionWish::Remove { name: "of-file".to_owned(), after: 0 }, "ann"),
        Err(SubscriptionRefused::Unknown)
    );
}

#[test]
fn what_can_t_work_is_refused_with_every_reason() {
    let journal = MemoryJournal::new(1);
    let config = config::built_in(&[]).unwrap();
    let book = Book { journal: &journal, config: &config, clock: noon };
    let refused = |name: &str, fields: Value| match book.answer(set(name, 0, fields), "ann") {
        Err(SubscriptionRefused::Invalid(why)) => why,
        other => panic!("{other:?}"),
    };
    let said = refused(
        "a",
        json!({ "channel": "mail", "to": ["a@example.org"], "topics": ["flue"], "always": ["fever"], "regions": ["DE", "XX-1", "lang:DE"] }),
    );
    for part in
        ["there is no mail server", "no topic `flue`", "no region `XX-1`", "no region `lang:DE`"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("`fever`") && !said.contains("`DE`"), "{said}");
    assert!(refused("../a", json!({ "channel": "feed" })).contains("small letters"));
    assert!(refused("a", json!([1])).contains("invalid type"));
    assert!(stored(&journal).unwrap().is_empty());
}
