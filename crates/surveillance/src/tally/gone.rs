//! Deletions: posts by id or alias, and accounts with all their earlier posts.
//!
//! A deletion may come before its post; so it is held as long as a post that it concerns may still
//! arrive.

use record::Micros;
use record::time::{HOUR, pane_start};
use rustc_hash::FxHashMap;

use crate::snapshot::{Reader, RestoreError, Writer};

#[derive(Debug, Clone, Default)]
pub(crate) struct Gone {
    /// Print of a post → least arrival of a deletion.
    posts: FxHashMap<u64, Micros>,
    aliases: FxHashMap<u64, Micros>,
    /// Author → arrivals of removals.
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

    /// Whether a deletion counts against this post: one by id if it arrived by `event_time` +
    /// `horizon`, whichever came first;
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

    pub(crate) fn store(&self, writer: &mut Writer<'_>) {
        writer.put_map(by_hour(self.posts.iter().map(|(print, arrival)| (*print, *arrival))));
        writer.put_map(by_hour(self.aliases.iter().map(|(alias, arrival)| (*alias, *arrival))));
        let accounts = self.accounts.iter();
        writer
            .put_map(by_hour(accounts.flat_map(|(author, arrivals)| {
                arrivals.iter().map(|arrival| (*author, *arrival))
            })));
    }

    pub(crate) fn restore(reader: &mut Reader<'_>) -> Result<Gone, RestoreError> {
        let mut gone = Gone {
            posts: reader.take_map()?,
            aliases: reader.take_map()?,
            accounts: FxHashMap::default(),
        };
        for (author, arrival) in reader.take_map::<u64, Micros, Vec<_>>()? {
            gone.remove_account(author, arrival);
        }
        Ok(gone)
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

/// What has come last is stored together; a hash map's own order would make equal states unequal
/// bytes.
fn by_hour(deletions: impl Iterator<Item = (u64, Micros)>) -> Vec<(u64, Micros)> {
    let mut deletions: Vec<(u64, Micros)> = deletions.collect();
    deletions.sort_unstable_by_key(|(what, arrival)| (pane_start(*arrival, HOUR), *what, *arrival));
    deletions
}
