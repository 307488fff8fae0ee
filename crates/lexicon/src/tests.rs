mod extraction;
mod folding;
mod matching;
mod topic_files;
