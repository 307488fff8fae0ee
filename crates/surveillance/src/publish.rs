//! Disclosure control: decides the public counts of a topic and final UTC day.
//!
//! Called by `watch` when a day is final; the result is stored in `public_counts` and is all that a
//! public page, feed or badge reads. Knows no store, no channel and no other day: days don't
//! overlap, are reported once and never again, so nothing can be learnt by looking often.
//!
//! A number is shown if at least the kind's floor of accounts stand behind it (11, see
//! [`public::floor`]), rounded to 5. What isn't shown is not distinguished from nothing:
//! regions without a number have no entry at all. Then *complementary suppression*: subtracting
//! shown numbers from their parent must not reveal of a withheld region that somebody is there, nor
//! how many to within less than rounding leaves of any number. The assumed attacker knows more than
//! he does:
//! - that accounts of regions add up to those of their parent, and where nobody is placed no deeper
//!   than the parent;
//! - which regions have ever had a post of the topic, and that others had none;
//! - for each withheld region, whether it is withheld for being small (then it is below the floor)
//!   or for another's sake.
//!
//! What he can conclude is computed exactly ([`Tree::bounds`]: on a tree of sums, intervals passed
//! up and down are the tightest), and where that is too much the least of the numbers next to it
//! goes too, or if there is none, the one above. That a number is withheld for another's sake says
//! a little, too: it would have given that one away. So who runs this program over every day that
//! there can be may learn that somebody is there; the tests do so, and hold that he never learns
//! how many.

use std::collections::BTreeMap;

use record::kind::Kind;
use record::public;
use record::region::{Level, RegionTable, UNLOCATED, WORLD};

/// No upper bound is known.
const ENDLESS: i64 = 1 << 40;

/// What the public may see of one topic's day, by region: the world, countries and first levels.
///
/// `accounts` are the distinct accounts of the day in every region where the topic was ever
/// counted, 0 included; regions that may not be shown at all (overlays, unlocated, the operator's
/// own) are passed over. The world is always reported, by `None` if its number is withheld: so a
/// decided day can be distinguished from an undecided one. Nothing else is reported of what is
/// withheld.
pub fn day(
    kind: Kind,
    table: &RegionTable,
    accounts: &BTreeMap<String, u32>,
) -> BTreeMap<String, Option<u32>> {
    let Some(floor) = public::floor(kind) else { return BTreeMap::new() };
    let mut tree = Tree::of(kind, table, accounts, floor);
    tree.withhold();
    let mut shown: BTreeMap<String, Option<u32>> = BTreeMap::from([(WORLD.to_owned(), None)]);
    for node in tree.nodes.iter().filter(|node| node.shown) {
        shown.insert(node.region.to_owned(), public::accounts(kind, node.accounts));
    }
    shown
}

/// A region of the day's tree, or the accounts of one that are placed no deeper.
#[derive(Debug)]
struct Node<'a> {
    /// Empty for a rest.
    region: &'a str,
    accounts: u32,
    parent: Option<usize>,
    children: Vec<usize>,
    /// Accounts that count in more than one child, as a number to be added to the children's sum; 0
    /// or below.
    overlap: i64,
    shown: bool,
    /// Whether it is withheld for being small.
    small: bool,
    is_rest: bool,
}

/// The world with its countries with their first levels. Parents stand before their children.
#[derive(Debug)]
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    floor: u32,
}

/// What can be concluded of a number: at least and at most.
type Bounds = (i64, i64);

impl<'a> Tree<'a> {
    fn of(
        kind: Kind,
        table: &RegionTable,
        accounts: &'a BTreeMap<String, u32>,
        floor: u32,
    ) -> Tree<'a> {
        let mut tree = Tree { nodes: Vec::new(), floor };
        tree.add(WORLD, accounts.get(WORLD).copied().unwrap_or(0), None);
        let of_level = |level: Level| {
            accounts.iter().filter(move |(region, _)| {
                table.level(region) == level
                    && *region != UNLOCATED
                    && *region != WORLD
                    && kind.allows(level, region)
            })
        };
        let mut countries: BTreeMap<&str, usize> = BTreeMap::new();
        for (region, count) in of_level(Level::Country) {
            countries.insert(region, tree.add(region, *count, Some(0)));
        }
        for (region, count) in of_level(Level::First) {
            if let Some(parent) =
                table.country(region).and_then(|country| countries.get(country.as_str()).copied())
            {
                tree.add(region, *count, Some(parent));
            }
        }
        for parent in 0..tree.nodes.len() {
            let sum: i64 = tree.nodes[parent]
                .children
                .iter()
                .map(|child| i64::from(tree.nodes[*child].accounts))
                .sum();
            if tree.nodes[parent].children.is_empty() {
                continue;
            }
            let rest = i64::from(tree.nodes[parent].accounts) - sum;
            tree.nodes[parent].overlap = rest.min(0);
            let index = tree.add("", u32::try_from(rest.max(0)).unwrap_or(0), Some(parent));
            let node = &mut tree.nodes[index];
            (node.is_rest, node.shown) = (true, false);
        }
        tree
    }

    fn add(&mut self, region: &'a str, accounts: u32, parent: Option<usize>) -> usize {
        let index = self.nodes.len();
        let shown = accounts >= self.floor;
        self.nodes.push(Node {
            region,
            accounts,
            parent,
            children: Vec::new(),
            overlap: 0,
            shown,
            small: !shown,
            is_rest: false,
        });
        if let Some(parent) = parent {
            self.nodes[parent].children.push(index);
        }
        index
    }

    /// Withholds numbers until nothing can be concluded that must not be, then shows again what was
    /// withheld in vain.
    fn withhold(&mut self) {
        while let Some(exposed) = self.exposed() {
            match self.beside_or_above(exposed) {
                Some(other) => self.nodes[other].shown = false,
                // With nothing next to or above it shown nothing but what regions overlap by can be
                // known: better say nothing.
                None => {
                    self.nodes.iter_mut().for_each(|node| node.shown = false);
                    return;
                }
            }
        }
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if !node.shown && !node.small && !node.is_rest {
                self.nodes[index].shown = true;
                if self.exposed().is_some() {
                    self.nodes[index].shown = false;
                }
            }
        }
    }

    /// The first withheld small number of which too much can be concluded.
    fn exposed(&self) -> Option<usize> {
        let narrowest = i64::from(public::ROUNDING) - 1;
        let bounds = self.bounds();
        (0..self.nodes.len()).find(|index| {
            let node = &self.nodes[*index];
            let (least, most) = bounds[*index];
            let is_narrow = most - least < narrowest;
            match node.is_rest {
                // A remainder is not published, but its existence may be known: only its size is
                // stored.
                true => (1..self.floor).contains(&node.accounts) && is_narrow,
                false => node.small && (least >= 1 || is_narrow),
            }
        })
    }

    /// What to withhold so that less can be concluded of a number: the least shown one next to it,
    /// else the one above it, and so on upwards.
    fn beside_or_above(&self, exposed: usize) -> Option<usize> {
        let mut below = exposed;
        while let Some(parent) = self.nodes[below].parent {
            let hides_nothing_below = |index: &usize| {
                !self.nodes[*index].children.iter().any(|child| self.nodes[*child].shown)
            };
            let beside = self.nodes[parent]
                .children
                .iter()
                .copied()
                .filter(|index| self.nodes[*index].shown)
                .filter(hides_nothing_below);
            // By what is shown, not by what it was rounded from.
            let least =
                beside.min_by_key(|index| (self.rounded(*index), self.nodes[*index].region));
            if least.is_some() {
                return least;
            }
            if self.nodes[parent].shown {
                return Some(parent);
            }
            below = parent;
        }
        None
    }

    fn rounded(&self, index: usize) -> u32 {
        public::rounded(self.nodes[index].accounts)
    }

    /// What each number on its own says.
    fn published(&self, index: usize) -> Bounds {
        let node = &self.nodes[index];
        let floor = i64::from(self.floor);
        if node.shown {
            let (rounded, half) = (i64::from(self.rounded(index)), i64::from(public::ROUNDING / 2));
            return ((rounded - half).max(floor), rounded + half);
        }
        match (node.is_rest, node.small) {
            // That everybody is placed may be known, how many aren't is not.
            (true, _) if node.accounts == 0 => (0, 0),
            (true, _) => (0, ENDLESS),
            (false, true) => (0, floor - 1),
            (false, false) => (0, ENDLESS),
        }
    }

    /// What can be concluded of each number from all that is shown: the tightest bounds, for every
    /// number is in one sum as a part and in one as a whole, so that the sums form a tree.
    fn bounds(&self) -> Vec<Bounds> {
        let mut bounds: Vec<Bounds> =
            (0..self.nodes.len()).map(|index| self.published(index)).collect();
        let sums = |bounds: &[Bounds], children: &[usize]| {
            children.iter().fold((0, 0), |(least, most), child| {
                (least + bounds[*child].0, most + bounds[*child].1)
            })
        };
        // Children stand behind their parents.
        for index in (0..self.nodes.len()).rev() {
            let node = &self.nodes[index];
            if !node.children.is_empty() {
                let (least, most) = sums(&bounds, &node.children);
                bounds[index] = (
                    bounds[index].0.max(least + node.overlap),
                    bounds[index].1.min(most + node.overlap),
                );
            }
        }
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let (least, most) = sums(&bounds, &node.children);
            let (whole_least, whole_most) = bounds[index];
            let below: Vec<Bounds> = node.children.iter().map(|child| bounds[*child]).collect();
            for (child, (low, high)) in node.children.iter().zip(below) {
                let others = (least - low, most - high);
                bounds[*child] = (
                    low.max(whole_least - node.overlap - others.1),
                    high.min(whole_most - node.overlap - others.0),
                );
            }
        }
        bounds
    }
}

#[cfg(test)]
mod tests;
