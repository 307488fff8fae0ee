//! What stands before every answer: whom it is for, how long a question may be, and what a browser
//! may do with the answer.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// Longer addresses are refused unread.
pub(crate) const URI_BYTES_MAX: usize = 4_096;

/// Nothing inline, nothing from elsewhere, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
    blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The names by which we may be called. A page elsewhere whose name was made to resolve to us (DNS
/// rebinding) calls by its own.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    listening: Option<IpAddr>,
    names: Vec<String>,
}

impl Hosts {
    pub(crate) fn new(listening: Option<SocketAddr>, names: &[String]) -> Hosts {
        Hosts {
            listening: listening.map(|address| address.ip()),
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether a request calls us by one of our names; a name in the request line overrules the
    /// header (RFC 9112, 3.2.2).
    pub(crate) fn allow(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::HOST).iter();
        let header = match (given.next(), given.next()) {
            (Some(host), None) => host.to_str().ok(),
            _ => None,
        };
        let Some(host) = uri.authority().map(|authority| authority.as_str()).or(header) else {
            return false;
        };
        let Some(name) = without_port(host) else { return false };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
        match bare.parse::<IpAddr>() {
            // No page can be served from an address by another's name, so an address is safe where
            // we listen on all of them.
            Ok(address) => {
                address.is_loopback()
                    || self.listening.is_none_or(|ours| ours == address || ours.is_unspecified())
            }
            Err(_) => {
                name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
            }
        }
    }
}

/// `[::1]:8080` is `[::1]`; none where what follows the colon is no port, or a user's name stands
/// before it.
fn without_port(host: &str) -> Option<&str> {
    if host.contains('@') {
        return None;
    }
    let from = host.rfind(']').map_or(0, |at| at + 1);
    match host[from..].split_once(':') {
        None => Some(host),
        Some((before, port))
            if port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(&host[..from + before.len()])
        }
        Some(_) => None,
    }
}

pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests;
