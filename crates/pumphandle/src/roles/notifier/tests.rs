use record::kind::Kind;

use super::*;
use crate::config;

fn looked(heads: &[(&str, &str)]) -> Looked {
    let head = |(topic, region): &(&str, &str)| SeriesHead {
        topic: (*topic).to_owned(),
        region: (*region).to_owned(),
        level: 0,
        pane_length: 0,
        first: 0,
        latest: 0,
        newest: 0,
    };
    Looked { heads: heads.iter().map(head).collect(), ..Looked::default() }
}

/// Whoever covers all reads what the page says; whoever covers a quarter is told of a fourth of the
/// false episodes.
#[test]
fn rarity_is_scaled_by_the_share_of_series() {
    let config = config::built_in(&[]).unwrap();
    let world = Places::new(&config.settings(), &config);
    assert_eq!(world.kind("influenza"), Some(Kind::Disease));
    let looked =
        looked(&[("influenza", "DE-BE"), ("influenza", "FR"), ("fever", "DE-BE"), ("fever", "FR")]);
    let share = |lines: &str| {
        let text = format!("[[subscription]]\nname = \"a\"\nchannel = \"stdout\"\n{lines}");
        let subscription =
            notify::subscription::parse_subscriptions("a.toml", &text, std::path::Path::new(""))
                .unwrap()
                .remove(0);
        Share::of(&subscription, &world, &looked)
    };
    assert_eq!((share(""), share("").series()), (Share { mine: 4, all: 4 }, 4));
    assert_eq!(share("topics = [\"influenza\"]\nregions = [\"DE\"]"), Share { mine: 1, all: 4 });
    assert_eq!(
        share("topics = [\"influenza\"]\nalways = [\"fever\"]\nregions = [\"DE\"]"),
        Share { mine: 2, all: 4 }
    );
    let none = share("topics = [\"measles\"]");
    assert_eq!(
        (none, none.series()),
        (Share { mine: 0, all: 4 }, 0),
        "what is not known is not scaled"
    );
}

#[test]
fn a_condition_is_notified_once_it_lasts_and_its_end_once() {
    let mut conditions = Conditions::default();
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let lag = BTreeMap::from([("lag".to_owned(), "3 h".to_owned())]);
    conditions.update(&lag, at(0));
    assert_eq!(conditions.news(&BTreeSet::new(), at(0)), None, "it may pass");
    conditions.update(&lag, at(60));
    let degraded = Notice::Degraded(vec![("lag".to_owned(), "3 h".to_owned())]);
    assert_eq!(conditions.news(&BTreeSet::new(), at(60)), Some(degraded));
    let known = BTreeSet::from(["lag".to_owned()]);
    assert_eq!(conditions.news(&known, at(60)), None, "once");
    conditions.update(&BTreeMap::new(), at(100));
    assert_eq!(conditions.news(&known, at(100)), None);
    conditions.update(&BTreeMap::new(), at(700));
    assert_eq!(conditions.news(&known, at(700)), Some(Notice::Recovered));
    assert_eq!(conditions.news(&BTreeSet::new(), at(700)), None);
}
