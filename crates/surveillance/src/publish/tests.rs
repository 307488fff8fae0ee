//! Attackers: one who solves exactly what is published, and one who knows this program and tries
//! every day that there can be.

use std::collections::{BTreeMap, BTreeSet};

use record::region::OwnRegion;

use super::*;
use crate::naive::streams::Rng;

/// Sums above this don't occur in these trees.
const MOST: usize = 600;

type Accounts = BTreeMap<String, u32>;
type Shown = BTreeMap<String, Option<u32>>;

fn table() -> RegionTable {
    RegionTable::new(&[
        OwnRegion { code: "DE-BY-1".into(), parent: Some("DE-BY".into()) },
        OwnRegion { code: "x:flood".into(), parent: None },
    ])
}

const COUNTRIES: [(&str, &[&str]); 5] = [
    ("DE", &["DE-BE", "DE-BY", "DE-HH", "DE-NW", "DE-SN"]),
    ("FR", &["FR-ARA", "FR-IDF", "FR-NOR"]),
    ("US", &["US-CA", "US-NY", "US-TX", "US-WA"]),
    ("LU", &[]),
    ("IS", &["IS-1"]),
];

/// Accounts of a region: often none, often few, seldom many.
fn some(rng: &mut Rng) -> u32 {
    let of = match rng.below(10) {
        0..=2 => 1,
        3..=6 => 11,
        7 | 8 => 30,
        _ => 90,
    };
    rng.below(of) as u32
}

/// A day's tree. In half of them everybody is placed as deep as can be, so that children add up to
/// their parents exactly.
fn tree(rng: &mut Rng) -> Accounts {
    let exact = rng.chance(50);
    let rest = |rng: &mut Rng| if exact { 0 } else { some(rng) };
    let mut accounts = Accounts::new();
    let mut world = 0;
    for (country, parts) in COUNTRIES.iter().take(1 + rng.below(COUNTRIES.len() as u64) as usize) {
        let mut sum = if parts.is_empty() { some(rng) } else { rest(rng) };
        for part in parts.iter().take(rng.below(parts.len() as u64 + 1) as usize) {
            let count = some(rng);
            accounts.insert((*part).to_owned(), count);
            sum += count;
        }
        accounts.insert((*country).to_owned(), sum);
        world += sum;
    }
    let unlocated = rest(rng);
    accounts.insert(UNLOCATED.to_owned(), unlocated);
    accounts.insert(WORLD.to_owned(), world + unlocated);
    for beside in ["lang:de", "lang:und", "x:flood", "DE-BY-1"] {
        accounts.insert(beside.to_owned(), some(rng));
    }
    accounts
}

fn children(region: &str, accounts: &Accounts) -> Vec<String> {
    let table = table();
    let below = |other: &&String| match table.level(other) {
        Level::Country => region == WORLD && *other != UNLOCATED,
        Level::First => table.country(other).as_deref() == Some(region),
        Level::Beside | Level::Own => false,
    };
    accounts.keys().filter(below).cloned().collect()
}

/// A set of whole numbers from 0 to [`MOST`].
#[derive(Clone)]
struct Values(Vec<bool>);

impl Values {
    fn between(least: usize, most: usize) -> Values {
        Values((0..=MOST).map(|value| (least..=most).contains(&value)).collect())
    }

    fn and(&self, other: &Values) -> Values {
        Values(self.0.iter().zip(&other.0).map(|(one, two)| *one && *two).collect())
    }

    fn members(&self) -> Vec<usize> {
        (0..=MOST).filter(|value| self.0[*value]).collect()
    }

    /// All sums of one of each.
    fn plus(&self, other: &Values) -> Values {
        let mut sums = vec![false; MOST + 1];
        for one in self.members() {
            for (sum, possible) in sums[one..].iter_mut().zip(&other.0) {
                *sum |= *possible;
            }
        }
        Values(sums)
    }

    /// All differences of one of these and one of the others.
    fn minus(&self, other: &Values) -> Values {
        let mut differences = vec![false; MOST + 1];
        for two in other.members() {
            for (difference, possible) in differences.iter_mut().zip(&self.0[two..]) {
                *difference |= *possible;
            }
        }
        Values(differences)
    }
}

/// What an attacker knows in addition to published numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Knows {
    /// Nothing: what isn't shown may be anything.
    Nothing,
    /// That a region without a number has fewer than the floor, where it has.
    WhyItIsMissing,
}

/// Solves the sums for sets of values, not for intervals: up by all sums of the children, down by
/// all differences from the parent.
struct Attacker<'a> {
    accounts: &'a Accounts,
    shown: &'a Shown,
    floor: usize,
    knows: Knows,
}

impl Attacker<'_> {
    fn told(&self, region: &str) -> Values {
        match self.shown.get(region).copied().flatten() {
            Some(rounded) => Values::between(
                (rounded as usize).saturating_sub(2).max(self.floor),
                rounded as usize + 2,
            ),
            None if self.knows == Knows::WhyItIsMissing
                && (self.accounts[region] as usize) < self.floor =>
            {
                Values::between(0, self.floor - 1)
            }
            None => Values::between(0, MOST),
        }
    }

    /// Of those in a parent that are in none of its children he knows only whether there are any.
    fn rest(&self, region: &str, parts: &[String]) -> Values {
        let sum: u32 = parts.iter().map(|part| self.accounts[part]).sum();
        Values::between(0, if self.accounts[region] > sum { MOST } else { 0 })
    }

    fn up(&self, region: &str) -> Values {
        let parts = children(region, self.accounts);
        if parts.is_empty() {
            return self.told(region);
        }
        let sums =
            parts.iter().fold(self.rest(region, &parts), |sums, part| sums.plus(&self.up(part)));
        self.told(region).and(&sums)
    }

    fn down(&self, region: &str, possible: &Values, found: &mut BTreeMap<String, Values>) {
        let parts = children(region, self.accounts);
        let ups: Vec<Values> = parts.iter().map(|part| self.up(part)).collect();
        for (nth, part) in parts.iter().enumerate() {
            let others = ups.iter().enumerate().filter(|(other, _)| *other != nth);
            let others =
                others.fold(self.rest(region, &parts), |sums, (_, other)| sums.plus(other));
            self.down(part, &ups[nth].and(&possible.minus(&others)), found);
        }
        found.insert(region.to_owned(), possible.clone());
    }

    fn conclude(&self) -> BTreeMap<String, Values> {
        let mut found = BTreeMap::new();
        self.down(WORLD, &self.up(WORLD), &mut found);
        found
    }
}

#[test]
fn a_differencing_attacker_recovers_no_small_cell_in_a_thousand_random_trees() {
    const TREES: u64 = 1_000;
    let table = table();
    let (mut cells, mut small, mut numbers, mut for_others, mut narrowest) = (0, 0, 0, 0, MOST);
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        // Topics and days: each has its own tree, and no number spans two.
        for kind in [Kind::Disease, Kind::Campaign, Kind::Narrative] {
            let accounts = tree(&mut rng);
            let shown = day(kind, &table, &accounts);
            let floor = public::floor(kind).unwrap();
            for (region, number) in &shown {
                assert!(
                    number.is_none_or(|number| number % 5 == 0 && accounts[region] >= floor),
                    "{region}: {number:?}"
                );
                assert!(
                    number.is_some() || region == WORLD,
                    "only of the world is it told that it is withheld"
                );
                let of_tree = [WORLD, &region[..2]]
                    .iter()
                    .any(|parent| children(parent, &accounts).contains(region));
                assert!(
                    (region == WORLD || of_tree) && kind.allows(table.level(region), region),
                    "{region} is not for the public"
                );
            }
            // First levels of a narrative leave no part of the engine: there is nothing to recover
            // them from.
            let allowed =
                accounts.iter().filter(|(region, _)| kind.allows(table.level(region), region));
            let of_kind: Accounts =
                allowed.map(|(region, count)| (region.clone(), *count)).collect();
            numbers += shown.values().flatten().count();
            for knows in [Knows::Nothing, Knows::WhyItIsMissing] {
                let attacker =
                    Attacker { accounts: &of_kind, shown: &shown, floor: floor as usize, knows };
                for (region, possible) in attacker.conclude() {
                    let truth = accounts[&region] as usize;
                    assert!(possible.0[truth], "seed {seed}: the attacker is wrong about {region}");
                    cells += 1;
                    let is_shown = shown.get(&region).copied().flatten().is_some();
                    for_others += usize::from(
                        !is_shown && truth >= floor as usize && knows == Knows::Nothing,
                    );
                    if (1..=10).contains(&truth) {
                        small += 1;
                        let members = possible.members();
                        narrowest = narrowest.min(members.len());
                        assert!(
                            members[0] == 0 && members.len() >= 5,
                            "seed {seed}, {kind:?}, {knows:?}: {region} has {truth} accounts, and \
                                the attacker knows {members:?} by {shown:?}"
                        );
                    }
                }
            }
        }
    }
    println!(
        "{TREES} trees for each of 3 kinds, {numbers} numbers shown; {cells} cells solved for \
            exactly, {small} of them with 1 to 10 accounts: \
         0 recovered, each may be 0 and one of {narrowest} values or more; {for_others} numbers \
         withheld for another's sake"
    );
}

/// Everything that the program would have published the same for: what all such days agree on is
/// reported, whatever the reason.
#[test]
fn who_knows_the_program_and_tries_every_day_that_there_can_be_learns_no_small_cell() {
    const UP_TO: u32 = 18;
    let table = table();
    let (mut days, mut narrowest) = (0, usize::MAX);
    for regions in [["DE", "FR", "LU"], ["DE-BE", "DE-BY", "LU"], ["DE-BE", "FR-IDF", "FR-NOR"]] {
        let mut by_shown: BTreeMap<Shown, Vec<Accounts>> = BTreeMap::new();
        for day_number in 0..UP_TO.pow(3) {
            let counts =
                [day_number % UP_TO, day_number / UP_TO % UP_TO, day_number / UP_TO / UP_TO];
            let mut accounts = Accounts::from([(WORLD.to_owned(), counts.iter().sum())]);
            for (region, count) in regions.iter().zip(counts) {
                *accounts.entry(region[..2].to_owned()).or_insert(0) += count;
                if region.len() > 2 {
                    accounts.insert((*region).to_owned(), count);
                }
            }
            by_shown.entry(day(Kind::Disease, &table, &accounts)).or_default().push(accounts);
            days += 1;
        }
        for (shown, same) in &by_shown {
            for region in same[0].keys() {
                let possible: BTreeSet<u32> =
                    same.iter().map(|accounts| accounts[region]).collect();
                if possible.iter().all(|count| (1..=10).contains(count)) {
                    narrowest = narrowest.min(possible.len());
                }
                let is_small = possible.iter().any(|count| (1..=10).contains(count));
                assert!(
                    !is_small || possible.len() >= 2,
                    "{region} is known to be one of {possible:?} by {shown:?}"
                );
            }
        }
    }
    println!(
        "{days} days tried: no small cell is told; where it is told that 1 to 10 are there, they \
            may be {narrowest} numbers or more"
    );
}

#[test]
fn intervals_are_as_tight_as_sets() {
    let table = table();
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let accounts = tree(&mut rng);
        let mut tree = Tree::of(Kind::Disease, &table, &accounts, 11);
        tree.withhold();
        let shown = day(Kind::Disease, &table, &accounts);
        let solved = Attacker {
            accounts: &accounts,
            shown: &shown,
            floor: 11,
            knows: Knows::WhyItIsMissing,
        }
        .conclude();
        for (node, (least, most)) in
            tree.nodes.iter().zip(tree.bounds()).filter(|(node, _)| !node.is_rest)
        {
            let members = solved[node.region].members();
            assert_eq!(members[0] as i64, least, "seed {seed}, {}", node.region);
            assert!(
                most > 300 || *members.last().unwrap() as i64 == most,
                "seed {seed}, {}: {most}, {members:?}",
                node.region
            );
        }
    }
}

#[test]
fn what_kinds_forbid_is_not_published_and_numbers_are_rounded() {
    let table = table();
    let of = |counts: &[(&str, u32)]| -> Accounts {
        counts.iter().map(|(region, count)| ((*region).to_owned(), *count)).collect()
    };
    let usual = |world, germany, bavaria| {
        of(&[(WORLD, world), ("DE", germany), ("DE-BY", bavaria), ("lang:de", world)])
    };
    for kind in [Kind::Sensitive, Kind::Patient, Kind::Crisis] {
        assert_eq!(day(kind, &table, &usual(5000, 900, 300)), Shown::new(), "{kind:?}");
        assert_eq!(public::accounts(kind, 5000), None);
    }
    let shown = |kind, accounts: &Accounts| -> Vec<String> {
        let shown = day(kind, &table, accounts);
        shown
            .into_iter()
            .map(|(region, number)| {
                number.map_or(format!("{region} withheld"), |number| format!("{region} {number}"))
            })
            .collect()
    };
    assert_eq!(shown(Kind::Disease, &usual(203, 52, 41)), ["001 205", "DE 50", "DE-BY 40"]);
    assert_eq!(shown(Kind::Narrative, &usual(203, 52, 51)), ["001 205", "DE 50"]);
    assert_eq!(shown(Kind::Narrative, &usual(203, 49, 41)), ["001 205"]);
    assert_eq!(shown(Kind::Disease, &usual(10, 9, 0)), ["001 withheld"]);
    assert_eq!(
        shown(Kind::Disease, &usual(203, 14, 7)),
        ["001 205", "DE 15"],
        "nobody knows how many of Germany are placed no deeper"
    );
    let exact = of(&[(WORLD, 200), ("DE", 200), ("DE-BY", 193), ("DE-BE", 7)]);
    assert_eq!(
        shown(Kind::Disease, &exact),
        ["001 200", "DE 200"],
        "Berlin would be Germany less Bavaria"
    );
}

/// Who counts in two regions is counted twice in their sum: nothing breaks by that.
#[test]
fn accounts_in_two_regions_break_nothing() {
    let table = table();
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let mut accounts = tree(&mut rng);
        for region in ["DE", "FR", "US", WORLD] {
            let least =
                children(region, &accounts).iter().map(|part| accounts[part]).max().unwrap_or(0);
            if let Some(count) = accounts.get_mut(region) {
                *count = (*count * rng.below(100) as u32 / 100).max(least);
            }
        }
        for (region, number) in day(Kind::Disease, &table, &accounts) {
            assert!(number.is_none_or(
                |number| accounts[&region] >= 11 && number.abs_diff(accounts[&region]) <= 2
            ));
        }
    }
}
