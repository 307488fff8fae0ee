use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use record::kind::Kind;
use record::{AccountAge, Author, Flags, Micros, Op, Post, PostId, Tag, TopicMatch, Voice};

use super::{ACCOUNTS_MIN, Emerging};

const TOPICS: [(&str, Kind); 4] = [
    ("cough", Kind::Symptom),
    ("flu", Kind::Disease),
    ("hiv", Kind::Sensitive),
    ("long-covid", Kind::Patient),
];

fn post(id: u64, author: u64, arrival: Micros, tags: &[&str], topics: &[&str]) -> Post {
    Post {
        settings: 1,
        feed: 0,
        op: Op::Create,
        id: PostId(u128::from(id)),
        alias: None,
        author: Some(Author(author)),
        author_before: None,
        event_time: arrival,
        arrival,
        places: vec![],
        overlays: vec![],
        langs: vec![],
        tags: tags
            .iter()
            .map(|written| Tag { key: written.to_lowercase(), written: (*written).into() })
            .collect(),
        topics: topics
            .iter()
            .map(|id| TopicMatch { id: (*id).into(), voice: Voice::Other, keys: vec![] })
            .collect(),
        link_domain: None,
        simhash: 0,
        account_age: AccountAge::Unknown,
        flags: Flags::default(),
        sealed_link: None,
    }
}

fn emerging(posts: &[Post]) -> Emerging {
    let mut emerging =
        Emerging::new(TOPICS.iter().map(|(id, kind)| ((*id).to_owned(), *kind)).collect());
    posts.iter().for_each(|post| emerging.take(post));
    emerging
}

fn found(posts: &[Post]) -> Vec<String> {
    let tags = emerging(posts).tags(2.0, |topic, written| topic == "flu" && written == "Flu");
    tags.iter()
        .map(|tag| format!("{} {} {} {:.2}", tag.topic, tag.key, tag.accounts, tag.lift))
        .collect()
}

/// `count` accounts from `first` on, each with one post.
fn crowd(first: u64, count: u64, tags: &[&str], topics: &[&str]) -> Vec<Post> {
    (first..first + count).map(|author| post(author, author, 0, tags, topics)).collect()
}

#[test]
fn a_tag_that_ten_accounts_put_beside_a_topic_is_told() {
    let background = crowd(1000, 100, &["cat"], &[]);
    let told = |count: u64, topic: &str| {
        found(&[crowd(0, count, &["Flu", "xbb", "cat"], &[topic]), background.clone()].concat())
    };
    assert_eq!(told(9, "flu"), [""; 0]);
    // Neither the topic's own tag nor what everybody says.
    assert_eq!(told(10, "flu"), ["flu xbb 10 11.00"]);
    // Kinds with a floor of their own.
    assert_eq!(told(19, "long-covid"), [""; 0]);
    assert_eq!(told(20, "long-covid").len(), 2);
    assert_eq!(told(50, "hiv"), [""; 0]);
    assert_eq!(told(50, "no-such-topic"), [""; 0]);
}

#[test]
fn one_loud_account_moves_nothing() {
    let loud: Vec<Post> = (0..500).map(|id| post(id, 7, 0, &["xbb"], &["flu"])).collect();
    assert_eq!(found(&[loud, crowd(1000, 100, &["cat"], &[])].concat()), [""; 0]);
}

#[test]
fn what_stands_beside_a_sensitive_topic_is_told_for_no_other() {
    let both = crowd(0, 30, &["xbb"], &["flu", "hiv"]);
    assert_eq!(found(&[both, crowd(1000, 100, &["cat"], &[])].concat()), [""; 0]);
}

#[test]
fn an_account_is_one_on_both_sides_of_a_change_of_keys() {
    let mut posts = crowd(0, 9, &["xbb"], &["flu"]);
    posts.extend(crowd(1000, 100, &["cat"], &[]));
    let renamed = Post { author_before: Some(Author(3)), ..post(50, 50, 0, &["xbb"], &["flu"]) };
    posts.push(renamed);
    assert_eq!(found(&posts), [""; 0]);
    posts.push(post(51, 51, 0, &["xbb"], &["flu"]));
    assert_eq!(found(&posts), ["flu xbb 10 11.00"]);
}

// --- against a plain count ---

#[derive(Debug, Clone)]
struct Step {
    op: Op,
    id: u64,
    author: u64,
    arrival: Micros,
    tags: Vec<&'static str>,
    topics: Vec<&'static str>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = prop_oneof![30 => Just(Op::Create), 2 => Just(Op::Delete), 1 => Just(Op::Remove), 1 => Just(Op::Edit)];
    let tags =
        prop::collection::vec(prop::sample::select(vec!["a", "A", "b", "c", "d", "Flu"]), 0..4);
    let topics = prop::collection::vec(
        prop::sample::select(vec!["flu", "flu", "cough", "hiv", "long-covid", "x"]),
        0..2,
    );
    let step = (op, 0..300_u64, 0..60_u64, 0..5_i64, tags, topics).prop_map(
        |(op, id, author, arrival, tags, topics)| Step {
            op,
            id: id * 60 + author,
            author,
            arrival,
            tags,
            topics,
        },
    );
    prop::collection::vec(step, 0..600)
}

/// One line a tag, found by asking every topic, tag and account one after the other.
fn plainly(
    posts: &[Post],
    lift_min: f64,
) -> BTreeSet<(String, String, usize, usize, usize, usize)> {
    let mut by_id: BTreeMap<PostId, &Post> = BTreeMap::new();
    for post in posts.iter().filter(|post| post.op == Op::Create) {
        let known = by_id.entry(post.id).or_insert(post);
        if said(post) < said(known) {
            *known = post;
        }
    }
    let gone = |post: &Post| {
        posts.iter().any(|by| match by.op {
            Op::Delete => by.id == post.id,
            Op::Remove => by.author == post.author && post.arrival < by.arrival,
            _ => false,
        })
    };
    let is_of = |post: &Post, topic: &str| post.topics.iter().any(|found| found.id == topic);
    let left: Vec<&Post> = by_id
        .into_values()
        .filter(|post| !gone(post) && !is_of(post, "hiv") && !post.tags.is_empty())
        .collect();
    let accounts = |wanted: &dyn Fn(&Post) -> bool| {
        left.iter()
            .filter(|post| wanted(post))
            .map(|post| post.author)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let all = accounts(&|_| true);
    let mut rows = BTreeSet::new();
    for (topic, kind) in TOPICS.iter().filter(|(_, kind)| *kind != Kind::Sensitive) {
        for key in ["a", "b", "c", "d", "flu"] {
            let has = |post: &Post| post.tags.iter().any(|tag| tag.key == key);
            let of_topic = accounts(&|post| is_of(post, topic));
            let of_key = accounts(&has);
            let both = accounts(&|post| has(post) && is_of(post, topic));
            let lift = (both * all) as f64 / (of_topic * of_key) as f64;
            let enough = both >= (ACCOUNTS_MIN.max(kind.floor())) as usize;
            if enough && lift >= lift_min && !(*topic == "flu" && key == "flu") {
                rows.insert(((*topic).to_owned(), key.to_owned(), both, of_topic, of_key, all));
            }
        }
    }
    rows
}

fn said(post: &Post) -> impl Ord {
    let keys: BTreeSet<String> = post.tags.iter().map(|tag| tag.key.clone()).collect();
    let topics: BTreeSet<String> = post.topics.iter().map(|topic| topic.id.clone()).collect();
    (
        post.arrival,
        post.event_time,
        keys.into_iter().collect::<Vec<_>>(),
        topics.into_iter().collect::<Vec<_>>(),
        post.author,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn tags_are_those_of_a_plain_count_in_any_order(steps in steps(), turned in any::<u16>(), lift_min in 0.5..1.5_f64) {
        let made = |step: &Step| Post { op: step.op, ..post(step.id, step.author, step.arrival, &step.tags, &step.topics) };
        let mut posts: Vec<Post> = steps.iter().map(made).collect();
        let is_known = |topic: &str, written: &str| topic == "flu" && written == "flu";
        let tags = emerging(&posts).tags(lift_min, is_known);
        let rows: BTreeSet<_> = tags.iter().map(|tag| {
            let counts = [tag.accounts, tag.topic_accounts, tag.key_accounts, tag.all_accounts].map(|count| count as usize);
            (tag.topic.clone(), tag.key.clone(), counts[0], counts[1], counts[2], counts[3])
        }).collect();
        prop_assert_eq!(rows.len(), tags.len());
        prop_assert_eq!(rows, plainly(&posts, lift_min));
        if !posts.is_empty() {
            let at = usize::from(turned) % posts.len();
            posts.rotate_left(at);
            posts.reverse();
        }
        prop_assert_eq!(emerging(&posts).tags(lift_min, is_known), tags);
    }
}
