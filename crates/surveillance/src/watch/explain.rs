//! What explains an alert: the sampled posts of its window, summed up so that nobody can be told from it.

use std::collections::{BTreeMap, BTreeSet};

use record::{Explanation, Micros, Sampled};

use super::fold::SeriesFold;

/// A tag, language or link is shown only if at least this many accounts of one pane used it.
const ACCOUNTS_MIN: usize = 5;
/// Of each list this many are shown.
const SHOWN_MAX: usize = 10;
/// Posts with the smallest prints stand for the window, as they do for a pane.
const SAMPLE_POSTS_MAX: usize = 64;
/// Two texts whose simhashes differ in at most this many of 64 bits are near-copies (Manku, Jain, Das Sarma 2007).
const NEAR_BITS_MAX: u32 = 3;

/// Sums up the samples of the panes that begin in `[from, to)`.
pub(crate) fn explain(fold: &SeriesFold, from: Micros, to: Micros) -> Explanation {
    // An author is known within one pane and partition only; so accounts are counted there, never added up.
    let mut posts: Vec<((Micros, usize, u32), Sampled)> = Vec::new();
    for (start, parts) in fold.panes.range(from..to.max(from)) {
        for (part, pane) in parts.values().enumerate() {
            posts.extend(pane.sample.posts().into_iter().map(|post| ((*start, part, post.author), post)));
        }
    }
    posts.sort_by_key(|(_, post)| post.print);
    posts.truncate(SAMPLE_POSTS_MAX);
    let count = |keep: fn(&Sampled) -> bool| posts.iter().filter(|(_, post)| keep(post)).count() as u32;
    let mut by_author: BTreeMap<_, u32> = BTreeMap::new();
    for (author, _) in &posts {
        *by_author.entry(*author).or_default() += 1;
    }
    Explanation {
        sampled: posts.len() as u32,
        own: count(|post| post.own),
        news: count(|post| post.news),
        tags: most_used(&posts, |post| post.tags.iter().collect()),
        langs: most_used(&posts, |post| post.langs.iter().collect()),
        link_domains: most_used(&posts, |post| post.link_domain.iter().collect()),
        most_by_one: by_author.values().copied().max().unwrap_or(0),
        near_copies: near_copies(&posts.iter().map(|(_, post)| post.simhash).collect::<Vec<_>>()),
        new_accounts: count(|post| post.account_new),
    }
}

fn most_used<'a>(posts: &'a [((Micros, usize, u32), Sampled)], of: impl Fn(&'a Sampled) -> BTreeSet<&'a String>) -> Vec<(String, u32)> {
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
        .filter(|(_, (_, accounts))| accounts.values().any(|accounts| accounts.len() >= ACCOUNTS_MIN))
        .map(|(word, (posts, _))| (word.clone(), posts))
        .collect();
    shown.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shown.truncate(SHOWN_MAX);
    shown
}

/// Pane → its accounts, by partition and number.
type AccountsByPane = BTreeMap<Micros, BTreeSet<(usize, u32)>>;

/// The largest number of posts that are near-copies of one of them.
fn near_copies(simhashes: &[u64]) -> u32 {
    let near = |a: u64| simhashes.iter().filter(|b| **b != 0 && (a ^ **b).count_ones() <= NEAR_BITS_MAX).count() as u32;
    simhashes.iter().filter(|a| **a != 0).map(|a| near(*a)).max().filter(|copies| *copies > 1).unwrap_or(0)
}
