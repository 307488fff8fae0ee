//! Explanation of an alert: the sampled posts of its window, summed up so that nobody can be
//! recognised.
//!
//! Read by `close` and `early` where an alarm is raised. Knows no texts and no accounts by name.

use std::collections::{BTreeMap, BTreeSet};

use record::{Explanation, Micros, Sampled};

use super::fold::{Pane, Parts, SAMPLE_POSTS_MAX};

/// A tag, language or link is shown only if at least this many accounts of one pane used it.
const ACCOUNTS_MIN: usize = 5;
/// Of each list this many are shown.
const SHOWN_MAX: usize = 10;
/// Two texts whose simhashes differ in at most this many of 64 bits are near-copies (Manku, Jain,
/// Das Sarma 2007).
const NEAR_BITS_MAX: u32 = 3;

/// Sums up the samples of a window's panes, in which so many accounts were counted.
pub(crate) fn explain<'a>(
    panes: impl Iterator<Item = (Micros, &'a Parts<Pane>)>,
    accounts: u32,
) -> Explanation {
    // An author is known within one pane and partition only; so accounts are counted there, never
    // added up.
    let mut posts: Vec<((Micros, u32, u32), Sampled)> = Vec::new();
    let mut filtered = 0;
    for (start, parts) in panes {
        for (partition, pane) in parts.iter() {
            posts.extend(
                pane.sample.posts().into_iter().map(|post| ((start, partition, post.author), post)),
            );
            filtered += pane.authors_filtered;
        }
    }
    posts.sort_by_key(|(_, post)| post.print);
    posts.truncate(SAMPLE_POSTS_MAX);
    let count =
        |keep: fn(&Sampled) -> bool| posts.iter().filter(|(_, post)| keep(post)).count() as u32;
    let mut by_author: BTreeMap<_, u32> = BTreeMap::new();
    for (author, _) in &posts {
        *by_author.entry(*author).or_default() += 1;
    }
    // An account that posts in every pane is not recognised; but so few accounts can't share all these
    // posts without one having this many.
    // Accounts of filtered feeds, which are sampled too, are known by the pane only.
    let shared = (posts.len() as u32).div_ceil((accounts + filtered).max(1));
    Explanation {
        sampled: posts.len() as u32,
        own: count(|post| post.own),
        news: count(|post| post.news),
        tags: most_used(&posts, |post| post.tags.iter().collect()),
        langs: most_used(&posts, |post| post.langs.iter().collect()),
        link_domains: most_used(&posts, |post| post.link_domain.iter().collect()),
        most_by_one: by_author.values().copied().max().map_or(0, |most| most.max(shared)),
        near_copies: near_copies(&posts.iter().map(|(_, post)| post.simhash).collect::<Vec<_>>()),
        new_accounts: count(|post| post.account_new),
    }
}

fn most_used<'a>(
    posts: &'a [((Micros, u32, u32), Sampled)],
    of: impl Fn(&'a Sampled) -> BTreeSet<&'a String>,
) -> Vec<(String, u32)> {
    let mut uses: BTreeMap<&String, (u32, AccountsByPane)> = BTreeMap::new();
    for ((pane, part, author), post) in posts {
        for word in of(post) {
            let (posts, accounts) = uses.entry(word).or_default();
            *posts += 1;
            accounts.entry(*pane).or_default().insert((*part, *author));
        }
    }
    let mut shown: Vec<(String, u32)> = uses
        .into_iter()
        .filter(|(_, (_, accounts))| {
            accounts.values().any(|accounts| accounts.len() >= ACCOUNTS_MIN)
        })
        .map(|(word, (posts, _))| (word.clone(), posts))
        .collect();
    shown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shown.truncate(SHOWN_MAX);
    shown
}

/// Pane → its accounts, by partition and number.
type AccountsByPane = BTreeMap<Micros, BTreeSet<(u32, u32)>>;

/// The largest number of posts that are near-copies of one of them.
fn near_copies(simhashes: &[u64]) -> u32 {
    let near = |a: u64| {
        simhashes.iter().filter(|b| **b != 0 && (a ^ **b).count_ones() <= NEAR_BITS_MAX).count()
            as u32
    };
    simhashes
        .iter()
        .filter(|a| **a != 0)
        .map(|a| near(*a))
        .max()
        .filter(|copies| *copies > 1)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use record::PaneChange;
    use record::time::HOUR;

    use super::super::batch::PaneValue;
    use super::*;
    use crate::naive::streams::Rng;

    /// Posts of accounts: (hour, account).
    fn explanation(posts: &[(Micros, u32)]) -> Explanation {
        let mut fold: BTreeMap<Micros, Parts<Pane>> = BTreeMap::new();
        let mut panes: BTreeMap<Micros, Vec<u32>> = BTreeMap::new();
        for (hour, account) in posts {
            panes.entry(hour * HOUR).or_default().push(*account);
        }
        let mut print = 0;
        for (start, accounts) in panes {
            let known: Vec<u32> =
                accounts.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
            let sampled = |account: &u32| {
                print += 1;
                let author = known.iter().position(|of| of == account).unwrap_or_default() as u32;
                let text = u64::wrapping_mul(print, 0x9e37_79b9_7f4a_7c15);
                Sampled { print, author, simhash: text, own: false, news: false, ..blank() }
            };
            let sample: Vec<Sampled> = accounts.iter().map(sampled).collect();
            let (posts, authors) = (accounts.len() as u32, known.len() as u32);
            let change =
                PaneChange { start, posts, authors, sample: Some(sample), ..PaneChange::default() };
            fold.entry(start).or_default().set(0, PaneValue::of(&change).over(None));
        }
        let accounts: BTreeSet<u32> = posts.iter().map(|(_, account)| *account).collect();
        explain(fold.iter().map(|(start, parts)| (*start, parts)), accounts.len() as u32)
    }

    fn blank() -> Sampled {
        Sampled {
            print: 0,
            author: 0,
            tags: Vec::new(),
            langs: Vec::new(),
            link_domain: None,
            simhash: 0,
            account_new: false,
            own: false,
            news: false,
            sealed_link: None,
        }
    }

    #[test]
    fn a_tag_is_shown_from_five_accounts_on() {
        let shown = |accounts: u32| {
            let post = |author| Sampled { author, tags: vec!["kita".to_owned()], ..blank() };
            let posts: Vec<_> =
                (0..accounts).chain([0]).map(|author| ((0, 0, author), post(author))).collect();
            most_used(&posts, |post| post.tags.iter().collect())
        };
        assert_eq!((shown(4), shown(5)), (vec![], vec![("kita".to_owned(), 6)]));
    }

    #[test]
    fn an_account_of_every_pane_is_found_by_how_few_there_are() {
        let mut posts: Vec<(Micros, u32)> = (0..24).map(|hour| (hour, 0)).collect();
        posts.extend([(3, 1), (9, 2)]);
        let explanation = explanation(&posts);
        assert_eq!((explanation.sampled, explanation.most_by_one), (26, 9));
    }

    #[test]
    fn most_by_one_is_never_more_than_one_account_wrote() {
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let accounts = rng.between(1, 12) as u64;
            let loud = rng.between(0, 80) as u64;
            let posts: Vec<(Micros, u32)> = (0..rng.between(1, 64))
                .map(|_| {
                    (
                        rng.between(0, 23),
                        if rng.chance(loud) { 0 } else { rng.below(accounts) as u32 },
                    )
                })
                .collect();
            let most = (0..12)
                .map(|account| posts.iter().filter(|(_, by)| *by == account).count())
                .max()
                .unwrap_or(0) as u32;
            let in_a_pane = posts
                .iter()
                .map(|post| posts.iter().filter(|other| *other == post).count())
                .max()
                .unwrap_or(0) as u32;
            let explanation = explanation(&posts);
            assert!((in_a_pane..=most).contains(&explanation.most_by_one), "{seed}: {posts:?}");
        }
    }
}
