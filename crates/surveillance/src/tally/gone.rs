//! What is known to be deleted: posts by id or alias, and accounts with all their earlier posts.
//!
//! A deletion may come before its post; so it is held as long as a post that it concerns may still arrive.

use record::Micros;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Gone {
    /// Print of a post → least arrival of a deletion.
    #[serde(serialize_with = "sorted")]
    posts: FxHashMap<u64, Micros>,
    #[serde(serialize_with = "sorted")]
    aliases: FxHashMap<u64, Micros>,
    /// Author → arrivals of removals.
    #[serde(serialize_with = "sorted")]
    accounts: FxHashMap<u64, Vec<Micros>>,
}

impl Gone {
    pub(crate) fn delete(&mut self, print: u64, arrival: Micros) {
        keep_least(&mut self.posts, print, arrival);
    }

    pub(crate) fn delete_alias(&mut self, alias: u64, arrival: Micros) {
        keep_least(&mut self.aliases, alias, arrival);
    }

    pub(crate) fn remove_account(&mut self, author: u64, arrival: Micros) {
        let arrivals = self.accounts.entry(author).or_default();
        if let Err(at) = arrivals.binary_search(&arrival) {
            arrivals.insert(at, arrival);
        }
    }

    /// Whether a deletion counts against this post: one by id if it arrived by `event_time` + `horizon`, whichever came first;
    /// one by account also only if the post had arrived before it.
    pub(crate) fn holds(&self, post: &record::Post, horizon: Micros) -> bool {
        let by = post.event_time + horizon;
        let by_id = self.posts.get(&post.id.print());
        let by_alias = post.alias.and_then(|alias| self.aliases.get(&alias));
        by_id.into_iter().chain(by_alias).any(|deleted| *deleted <= by)
            || super::names(post)
                .filter_map(|author| self.accounts.get(&author))
                .flatten()
                .any(|removed| post.arrival < *removed && *removed <= by)
    }

    /// Forgets deletions that arrived before `arrival`.
    pub(crate) fn forget(&mut self, arrival: Micros) {
        self.posts.retain(|_, deleted| *deleted >= arrival);
        self.aliases.retain(|_, deleted| *deleted >= arrival);
        self.accounts.retain(|_, removals| {
            removals.retain(|removed| *removed >= arrival);
            !removals.is_empty()
        });
    }
}

fn keep_least(map: &mut FxHashMap<u64, Micros>, key: u64, arrival: Micros) {
    map.entry(key).and_modify(|known| *known = arrival.min(*known)).or_insert(arrival);
}

/// A hash map's own order would make equal states unequal bytes.
fn sorted<V: Serialize, S: serde::Serializer>(map: &FxHashMap<u64, V>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().collect::<std::collections::BTreeMap<_, _>>())
}
