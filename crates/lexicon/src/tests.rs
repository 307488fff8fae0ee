mod extraction;
mod folding;
mod matching;
mod packs;
mod topic_files;
