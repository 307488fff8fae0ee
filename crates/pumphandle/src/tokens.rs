//! Tokens that open page and API: a file in the data folder with a name, a role and a hash a line.
//! A token itself is printed once and not stored.
//!
//! Tokens are 256 random bits, so that a plain hash can't be turned back. A running page sees a
//! change of the file at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, bail, ensure};
use web::{Holder, Role, Tokens};

use crate::whole;

const FILE: &str = "tokens";
const PREFIX: &str = "ph_";
const NAME_CHARS_MAX: usize = 80;
pub(crate) const TOKENS_MAX: usize = 1_000;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    hash: String,
    /// The day on which it was made.
    pub(crate) made: String,
}

pub(crate) fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Those that have been made; none where there is no file.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Token>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read `{}`", file.display()));
        }
    };
    let token = |(line, number): (&str, usize)| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, role, hash, made] = fields[..] else {
            bail!("line {number} of `{}` is no token", file.display())
        };
        let Some(role) = Role::parse(role) else {
            bail!("line {number} of `{}` names no role", file.display())
        };
        Ok(Token { name: name.to_owned(), role, hash: hash.to_owned(), made: made.to_owned() })
    };
    text.lines().zip(1..).map(token).collect()
}

/// Makes a token and returns it: nobody can read it again.
pub(crate) fn create(file: &Path, name: &str, role: Role, made: &str) -> anyhow::Result<String> {
    let fits = !name.is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.chars().any(char::is_control);
    ensure!(fits, "a name has 1 to {NAME_CHARS_MAX} printable characters");
    let mut tokens = read(file)?;
    ensure!(tokens.iter().all(|token| token.name != name), "there is a token `{name}` already");
    ensure!(tokens.len() < TOKENS_MAX, "there are {TOKENS_MAX} tokens already");
    let secret = random()?;
    tokens.push(Token { name: name.to_owned(), role, hash: hash(&secret), made: made.to_owned() });
    write(file, &tokens)?;
    Ok(secret)
}

pub(crate) fn revoke(file: &Path, name: &str) -> anyhow::Result<()> {
    let mut tokens = read(file)?;
    let before = tokens.len();
    tokens.retain(|token| token.name != name);
    ensure!(tokens.len() < before, "there is no token `{name}`");
    write(file, &tokens)
}

/// 256 random bits.
pub(crate) fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
    Ok(format!("{PREFIX}{}", blake3::Hash::from_bytes(bytes).to_hex()))
}

fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

fn write(file: &Path, tokens: &[Token]) -> anyhow::Result<()> {
    let lines = tokens
        .iter()
        .map(|token| format!("{}\t{}\t{}\t{}\n", token.name, token.role, token.hash, token.made));
    whole::write(file, lines.collect::<String>().as_bytes(), whole::SECRET)
        .with_context(|| format!("failed to write `{}`", file.display()))
}

/// Looks tokens up in the file, which is read again when it has changed; one that can't be read
/// opens nothing.
pub(crate) fn lookup(file: PathBuf) -> Tokens {
    let known: Mutex<(Option<SystemTime>, Vec<Token>)> = Mutex::default();
    Arc::new(move |given| {
        let changed = fs::metadata(&file).and_then(|metadata| metadata.modified()).ok();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != changed {
            let tokens = read(&file).unwrap_or_else(|error| {
                tracing::error!("{error:#}: no token opens anything");
                Vec::new()
            });
            *known = (changed, tokens);
        }
        // Hashes compare in constant time.
        let is_given =
            |known: &&Token| blake3::Hash::from_hex(&known.hash).is_ok_and(|hash| hash == *given);
        known
            .1
            .iter()
            .find(is_given)
            .map(|token| Holder { name: token.name.clone(), role: token.role })
    })
}

#[cfg(test)]
mod tests;
