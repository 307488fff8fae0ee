//! Who asks: roles by bearer token, by a session that a token or the start link opened, or by a reverse proxy that is trusted.
//!
//! Secrets are compared by their hash only and never logged; a session lives in memory and ends with the process.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};

use crate::problem::Problem;

/// What somebody may see and do; each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Role {
    /// Published days only.
    #[default]
    Public,
    /// Everything that is counted, exactly.
    Viewer,
    /// Tables, too.
    Analyst,
    /// Acts on alerts.
    Official,
    /// Everything.
    Operator,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Public, Role::Viewer, Role::Analyst, Role::Official, Role::Operator];

    pub fn name(self) -> &'static str {
        match self {
            Role::Public => "public",
            Role::Viewer => "viewer",
            Role::Analyst => "analyst",
            Role::Official => "official",
            Role::Operator => "operator",
        }
    }

    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Somebody with a role; the name is what changes are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    pub role: Role,
}

/// What changes by somebody without a name are signed with. No token has this name: it says that nobody has signed in.
pub(crate) const NOT_SIGNED_IN: &str = "not signed in";

impl Holder {
    /// What changes are signed with.
    pub(crate) fn actor(&self) -> String {
        if self.name.is_empty() { NOT_SIGNED_IN.to_owned() } else { self.name.clone() }
    }
}

/// Whose token this is, if anybody's.
pub type Tokens = Arc<dyn Fn(&str) -> Option<Holder> + Send + Sync>;

/// How people prove who they are.
#[derive(Clone)]
pub struct Access {
    /// What those may who prove nothing.
    pub anonymous: Role,
    pub tokens: Tokens,
    /// Opens one session as operator, once.
    pub start: Option<String>,
    /// Addresses whose [`USER_HEADER`] and [`ROLE_HEADER`] are believed.
    pub proxies: Vec<IpAddr>,
}

impl Default for Access {
    fn default() -> Access {
        Access { anonymous: Role::Public, tokens: Arc::new(|_| None), start: None, proxies: Vec::new() }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Access").field("anonymous", &self.anonymous).field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

pub const USER_HEADER: &str = "x-pumphandle-user";
pub const ROLE_HEADER: &str = "x-pumphandle-role";

const COOKIE: &str = "pumphandle-session";
const SESSIONS_MAX: usize = 1_000;
const SESSION_AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
const NAME_CHARS_MAX: usize = 80;

/// Proof as it came with a request.
pub(crate) struct Sessions {
    access: Access,
    /// By the hash of the cookie: an order of hashes tells nobody anything.
    open: Mutex<BTreeMap<[u8; 32], (Holder, Instant)>>,
    start: Mutex<Option<blake3::Hash>>,
}

/// BLAKE3's hash compares in constant time.
fn print(secret: &str) -> blake3::Hash {
    blake3::hash(secret.as_bytes())
}

impl Sessions {
    pub(crate) fn new(access: Access) -> Sessions {
        let start = access.start.as_deref().map(print);
        Sessions { access, open: Mutex::default(), start: Mutex::new(start) }
    }

    /// Who asks. A token that nobody has is refused rather than taken for no token.
    pub(crate) fn holder(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Holder, Problem> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let token = given.to_str().ok().and_then(|given| given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer ")));
            let holder = token.and_then(|token| (self.access.tokens)(token.trim()));
            return holder.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "this token opens nothing"));
        }
        if peer.is_some_and(|peer| self.access.proxies.contains(&peer)) {
            let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            if let (Some(name), Some(role)) = (said(USER_HEADER), said(ROLE_HEADER).and_then(Role::parse)) {
                return Ok(Holder { name: name.chars().take(NAME_CHARS_MAX).collect(), role });
            }
        }
        Ok(self.session(headers).unwrap_or_else(|| self.anonymous()))
    }

    pub(crate) fn anonymous(&self) -> Holder {
        Holder { name: String::new(), role: self.access.anonymous }
    }

    fn session(&self, headers: &HeaderMap) -> Option<Holder> {
        let key = *print(cookie(headers)?).as_bytes();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, since) = open.get(&key)?;
        if since.elapsed() > SESSION_AGE_MAX {
            open.remove(&key);
            return None;
        }
        Some(holder.clone())
    }

    /// Opens a session for a token or, once, for the start link's secret; returns the cookie.
    pub(crate) fn open(&self, secret: &str) -> Option<(Holder, String)> {
        let holder = (self.access.tokens)(secret).or_else(|| {
            let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
            start.take_if(|start| *start == print(secret))?;
            Some(Holder { name: "operator".to_owned(), role: Role::Operator })
        })?;
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        let key = blake3::Hash::from_bytes(bytes).to_hex().to_string();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, since)| since.elapsed() <= SESSION_AGE_MAX);
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, (_, since))| *since).map(|(key, _)| *key);
            oldest.and_then(|oldest| open.remove(&oldest));
        }
        open.insert(*print(&key).as_bytes(), (holder.clone(), Instant::now()));
        Some((holder, format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", SESSION_AGE_MAX.as_secs())))
    }

    /// Ends a session; returns what takes the cookie away.
    pub(crate) fn close(&self, headers: &HeaderMap) -> String {
        if let Some(key) = cookie(headers) {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(print(key).as_bytes());
        }
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }

    pub(crate) fn believes(&self, peer: IpAddr) -> bool {
        self.access.proxies.contains(&peer)
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether a change may come from the page that sent it: a browser names the origin of every change, and only ours is taken.
pub(crate) fn is_ours(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return true;
    }
    let said = |name| headers.get(name).map(|value| value.to_str().unwrap_or("").to_ascii_lowercase());
    match said(header::ORIGIN) {
        Some(origin) => {
            let host = said(header::HOST).unwrap_or_default();
            origin.split_once("://").is_some_and(|(scheme, origin)| matches!(scheme, "http" | "https") && origin == host)
        }
        // No browser: then nothing is sent along that its holder didn't mean to send.
        None => cookie(headers).is_none(),
    }
}

#[cfg(test)]
mod tests;
