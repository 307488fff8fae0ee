//! Who asks: roles by bearer token, by a session that a token or the start link opened, or by a
//! reverse proxy that is trusted.
//!
//! Secrets are compared by their hash only and never logged; a session lives in memory and ends
//! with the process.

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
    pub const ALL: [Role; 5] =
        [Role::Public, Role::Viewer, Role::Analyst, Role::Official, Role::Operator];

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

/// BLAKE3 of a token: what is compared and stored in its place. It compares in constant time.
pub use blake3::Hash as TokenHash;

/// What changes by somebody without a name are signed with. No token has this name: it says that
/// nobody has signed in.
pub(crate) const NOT_SIGNED_IN: &str = "not signed in";

impl Holder {
    /// What changes are signed with.
    pub(crate) fn actor(&self) -> String {
        if self.name.is_empty() { NOT_SIGNED_IN.to_owned() } else { self.name.clone() }
    }
}

/// Who holds the token of this hash now, if anybody does.
pub type Tokens = Arc<dyn Fn(&TokenHash) -> Option<Holder> + Send + Sync>;

/// Whether this is the hash of the start link's secret, which is spent by it.
pub type StartLink = Arc<dyn Fn(&TokenHash) -> bool + Send + Sync>;

/// How people prove who they are.
#[derive(Clone)]
pub struct Access {
    /// What those may who prove nothing.
    pub anonymous: Role,
    pub tokens: Tokens,
    /// Opens a session as operator, once for each link that is made.
    pub start: Option<StartLink>,
    /// Addresses whose word on the client's address is believed.
    pub proxies: Vec<IpAddr>,
    /// With this secret in [`PROXY_SECRET_HEADER`] their [`USER_HEADER`] and [`ROLE_HEADER`] are
    /// believed too; without one, never.
    pub proxy_secret: Option<String>,
    /// Whether people come by https only: then the cookie is for this host and https alone.
    pub https: bool,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            anonymous: Role::Public,
            tokens: Arc::new(|_| None),
            start: None,
            proxies: Vec::new(),
            proxy_secret: None,
            https: false,
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Access")
            .field("anonymous", &self.anonymous)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

pub const USER_HEADER: &str = "x-pumphandle-user";
pub const ROLE_HEADER: &str = "x-pumphandle-role";
pub const PROXY_SECRET_HEADER: &str = "x-pumphandle-proxy-secret";

const COOKIE: &str = "pumphandle-session";
/// A browser takes a cookie of such a name only with `Secure`, `Path=/` and from this very host.
const HOST_COOKIE: &str = "__Host-pumphandle-session";
const SESSIONS_MAX: usize = 1_000;
const SESSION_AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
const NAME_CHARS_MAX: usize = 80;

/// Proof as it came with a request.
pub(crate) struct Sessions {
    access: Access,
    /// By the hash of the cookie: an order of hashes tells nobody anything.
    open: Mutex<BTreeMap<[u8; 32], Session>>,
}

struct Session {
    /// With whose token it was opened: it ends with the token. None for the start link.
    token: Option<TokenHash>,
    since: Instant,
}

fn start_holder() -> Holder {
    Holder { name: "operator".to_owned(), role: Role::Operator }
}

/// BLAKE3's hash compares in constant time.
fn print(secret: &str) -> blake3::Hash {
    blake3::hash(secret.as_bytes())
}

impl Sessions {
    pub(crate) fn new(access: Access) -> Sessions {
        Sessions { access, open: Mutex::default() }
    }

    /// Who asks. A token that nobody has is refused rather than taken for no token.
    pub(crate) fn holder(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Holder, Problem> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let token = given.to_str().ok().and_then(|given| {
                given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer "))
            });
            let holder = token.and_then(|token| (self.access.tokens)(&print(token.trim())));
            return holder
                .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "invalid or expired token"));
        }
        if peer.is_some_and(|peer| self.believes(peer)) && self.has_proxy_secret(headers) {
            let reported = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            if let (Some(name), Some(role)) =
                (reported(USER_HEADER), reported(ROLE_HEADER).and_then(Role::parse))
            {
                return Ok(Holder { name: name.chars().take(NAME_CHARS_MAX).collect(), role });
            }
        }
        Ok(self.session(headers).unwrap_or_else(|| self.anonymous()))
    }

    pub(crate) fn anonymous(&self) -> Holder {
        Holder { name: String::new(), role: self.access.anonymous }
    }

    fn session(&self, headers: &HeaderMap) -> Option<Holder> {
        let key = *print(cookie(headers, self.cookie_name())?).as_bytes();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get(&key)?;
        let is_young = session.since.elapsed() <= SESSION_AGE_MAX;
        // Looked up at each request: a session ends with its token, and has the role that the token
        // has now.
        let holder = match &session.token {
            Some(token) => (self.access.tokens)(token),
            None => Some(start_holder()),
        };
        let holder = holder.filter(|_| is_young);
        if holder.is_none() {
            open.remove(&key);
        }
        holder
    }

    /// Opens a session for a token or, once, for the start link's secret; returns the cookie.
    pub(crate) fn open(&self, secret: &str) -> Option<(Holder, String)> {
        let hash = print(secret);
        let (holder, token) = match (self.access.tokens)(&hash) {
            Some(holder) => (holder, Some(hash)),
            None => {
                self.access.start.as_ref().filter(|start| start(&hash))?;
                (start_holder(), None)
            }
        };
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        let key = blake3::Hash::from_bytes(bytes).to_hex().to_string();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.since.elapsed() <= SESSION_AGE_MAX);
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, session)| session.since).map(|(key, _)| *key);
            oldest.and_then(|oldest| open.remove(&oldest));
        }
        open.insert(*print(&key).as_bytes(), Session { token, since: Instant::now() });
        Some((holder, self.cookie_of(&key, SESSION_AGE_MAX)))
    }

    /// Ends a session; returns what takes the cookie away.
    pub(crate) fn close(&self, headers: &HeaderMap) -> String {
        if let Some(key) = cookie(headers, self.cookie_name()) {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(print(key).as_bytes());
        }
        self.cookie_of("", Duration::ZERO)
    }

    fn cookie_name(&self) -> &'static str {
        if self.access.https { HOST_COOKIE } else { COOKIE }
    }

    fn cookie_of(&self, key: &str, age: Duration) -> String {
        let secure = if self.access.https { "; Secure" } else { "" };
        format!(
            "{}={key}; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age={}",
            self.cookie_name(),
            age.as_secs()
        )
    }

    /// Whether an address is a trusted proxy's.
    pub(crate) fn believes(&self, peer: IpAddr) -> bool {
        self.access.proxies.contains(&peer.to_canonical())
    }

    fn has_proxy_secret(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(PROXY_SECRET_HEADER).iter();
        let secret = self.access.proxy_secret.as_deref().filter(|secret| !secret.is_empty());
        match (secret, given.next().and_then(|given| given.to_str().ok()), given.next()) {
            (Some(secret), Some(given), None) => print(secret) == print(given),
            _ => false,
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether a change may come from the page that sent it: a browser names the origin of every
/// change, and only ours is taken.
pub(crate) fn is_ours(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return true;
    }
    let reported =
        |name| headers.get(name).map(|value| value.to_str().unwrap_or("").to_ascii_lowercase());
    match reported(header::ORIGIN) {
        Some(origin) => {
            let host = reported(header::HOST).unwrap_or_default();
            origin.split_once("://").is_some_and(|(scheme, origin)| {
                matches!(scheme, "http" | "https") && origin == host
            })
        }
        // No browser: then nothing is sent along that its holder didn't mean to send.
        None => [COOKIE, HOST_COOKIE].iter().all(|name| cookie(headers, name).is_none()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
