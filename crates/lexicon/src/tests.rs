mod extraction;
mod folding;
mod matching;
mod packs;
mod phrases;
mod topic_files;
mod voices;

/// How many random texts each property is tried on; more by `PROPTEST_CASES`, as in
/// `PROPTEST_CASES=1000000`.
fn cases(least: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    asked.map_or(least, |asked: u32| asked.max(least))
}
