//! Domain of the link of a post; nothing else of an address is stored.

/// Longest name that the domain name system has.
const DOMAIN_BYTES_MAX: usize = 253;

/// The host of an `http` or `https` address, lower-cased, without `www.`, credentials and port.
pub(super) fn domain(address: &str) -> Option<String> {
    let (scheme, rest) = address.trim().split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    // An address in brackets has colons of its own, and isn't a domain.
    let host = host.split(':').next()?.trim_end_matches('.').to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let fits = host.len() <= DOMAIN_BYTES_MAX && host.contains('.') && !host.starts_with('[');
    let clean = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    (fits && clean).then(|| host.to_owned())
}
