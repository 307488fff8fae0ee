//! Signs and short forms in texts: flags, coordinates, abbreviations, and words that are also
//! places.

/// Takes emoji flags out of a text and gives the regions they represent, each once.
pub(crate) fn take_flags(
    text: &str,
    find: impl Fn(&str) -> Option<u16>,
) -> (std::borrow::Cow<'_, str>, Vec<u16>) {
    let is_sign = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c) || c == '\u{1f3f4}';
    if text.is_ascii() || !text.contains(is_sign) {
        return (text.into(), Vec::new());
    }
    let mut rest = String::with_capacity(text.len());
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let mut code = String::new();
        if ('\u{1f1e6}'..='\u{1f1ff}').contains(&c) {
            let letter = |c: char| char::from(b'A' + (c as u32 - 0x1f1e6) as u8);
            code.push(letter(c));
            if let Some(second) =
                characters.next_if(|next| ('\u{1f1e6}'..='\u{1f1ff}').contains(next))
            {
                code.push(letter(second));
            }
        } else if c == '\u{1f3f4}' {
            while let Some(tag) =
                characters.next_if(|next| ('\u{e0020}'..='\u{e007f}').contains(next))
            {
                code.extend(
                    char::from_u32(tag as u32 - 0xe0000)
                        .filter(char::is_ascii_alphanumeric)
                        .map(|c| c.to_ascii_uppercase()),
                );
                if code.len() == 2 {
                    code.push('-');
                }
            }
        } else {
            rest.push(c);
            continue;
        }
        rest.push('|');
        if let Some(region) = find(if code == "UK" { "GB" } else { &code })
            && !found.contains(&region)
        {
            found.push(region);
        }
    }
    (rest.into(), found)
}

/// Coordinates in a text: two numbers with at least two decimals, or with N, S, E, W behind them.
/// "ÜT: 52.37,4.89", "48.85° N, 2.35° E".
pub(crate) fn coordinates(text: &str) -> Option<(f64, f64)> {
    let bytes = text.as_bytes();
    if bytes.iter().filter(|byte| **byte == b'.').count() < 2 {
        return None;
    }
    let mut previous: Option<(f64, Option<char>, usize)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let negative = bytes[at] == b'-' && at + 1 < bytes.len();
        let start = at + usize::from(negative);
        let is_word_before =
            at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'.');
        let whole = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let point = start + whole;
        let decimals = if bytes.get(point) == Some(&b'.') {
            bytes[point + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        } else {
            0
        };
        if is_word_before || !(1..=3).contains(&whole) || decimals < 2 {
            at = start + whole.max(1);
            continue;
        }
        let end = point + 1 + decimals;
        let mut after = end;
        while bytes.get(after).is_some_and(|byte| *byte == b' ' || *byte >= 0x80) && after < end + 4
        {
            after += 1;
        }
        let next_is_letter = bytes.get(after + 1).is_some_and(u8::is_ascii_alphabetic);
        let side = bytes
            .get(after)
            .map(|byte| char::from(byte.to_ascii_uppercase()))
            .filter(|side| "NSEW".contains(*side) && !next_is_letter);
        let value: f64 = text.get(start..end)?.parse().ok()?;
        let value = if negative || matches!(side, Some('S' | 'W')) { -value } else { value };
        if let Some((first, first_side, first_end)) = previous
            && at - first_end <= 6
            && text.get(first_end..at).is_some_and(|between| {
                between.chars().all(|c| {
                    matches!(
                        c,
                        ',' | ' ' | ';' | '/' | '°' | 'N' | 'S' | 'n' | 's' | 'E' | 'W' | 'e' | 'w'
                    )
                })
            })
        {
            let swapped = matches!(first_side, Some('E' | 'W'));
            let (latitude, longitude) = if swapped { (value, first) } else { (first, value) };
            return (latitude.abs() <= 90.0 && longitude.abs() <= 180.0)
                .then_some((latitude, longitude));
        }
        previous = Some((value, side, end));
        at = end;
    }
    None
}

/// Countries whose parts people write by their ISO or postal letters.
const LETTERED: [&str; 9] = ["US", "CA", "AU", "BR", "IN", "DE", "CH", "MX", "NL"];

/// The regions an abbreviation can represent: country codes, lettered parts, and the older forms of
/// newspapers.
pub(crate) fn abbreviated(key: &str, find: impl Fn(&str) -> Option<u16>) -> Vec<u16> {
    let mut found = Vec::new();
    let code = key.to_ascii_uppercase();
    if (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        if code.len() == 2 {
            found.extend(find(if code == "UK" { "GB" } else { &code }));
        }
        found.extend(LETTERED.iter().filter_map(|country| find(&format!("{country}-{code}"))));
    }
    for (short, code) in ABBREVIATIONS {
        if *short == key {
            found.extend(find(code));
        }
    }
    found
}

/// Lower-case letters that are believed without a comma: "austin tx".
pub(crate) fn is_plain_abbreviation(key: &str) -> bool {
    PLAIN.contains(&key)
}

const PLAIN: &[&str] = &[
    "tx", "ca", "ny", "nj", "fl", "il", "oh", "ga", "nc", "sc", "va", "wa", "mi", "az", "tn", "md",
    "mn", "wi", "co", "mo", "ky", "ct", "ia", "ks", "nv", "nm", "ut", "ne", "wv", "nh", "ri", "dc",
    "vt", "wy", "nd", "sd", "mt", "ak", "ar", "ms", "on", "bc", "qc", "ab", "uk", "usa", "nsw",
    "qld", "vic",
];

const ABBREVIATIONS: &[(&str, &str)] = &[
    ("calif", "US-CA"),
    ("cali", "US-CA"),
    ("tex", "US-TX"),
    ("fla", "US-FL"),
    ("mass", "US-MA"),
    ("penn", "US-PA"),
    ("penna", "US-PA"),
    ("wash", "US-WA"),
    ("ariz", "US-AZ"),
    ("ark", "US-AR"),
    ("colo", "US-CO"),
    ("conn", "US-CT"),
    ("del", "US-DE"),
    ("ill", "US-IL"),
    ("ind", "US-IN"),
    ("kan", "US-KS"),
    ("minn", "US-MN"),
    ("miss", "US-MS"),
    ("mont", "US-MT"),
    ("neb", "US-NE"),
    ("nev", "US-NV"),
    ("okla", "US-OK"),
    ("ore", "US-OR"),
    ("tenn", "US-TN"),
    ("wis", "US-WI"),
    ("wisc", "US-WI"),
    ("wyo", "US-WY"),
    ("mich", "US-MI"),
    ("ala", "US-AL"),
    ("ont", "CA-ON"),
    ("que", "CA-QC"),
    ("alta", "CA-AB"),
    ("sask", "CA-SK"),
    ("man", "CA-MB"),
    ("pei", "CA-PE"),
    ("vic", "AU-VIC"),
    ("tas", "AU-TAS"),
    ("nsw", "AU-NSW"),
    ("eng", "GB-ENG"),
    ("scot", "GB-SCT"),
    ("ni", "GB-NIR"),
    ("nrw", "DE-NW"),
    ("usa", "US"),
    ("gbr", "GB"),
    ("can", "CA"),
    ("aus", "AU"),
    ("deu", "DE"),
    ("ger", "DE"),
    ("fra", "FR"),
    ("esp", "ES"),
    ("ita", "IT"),
    ("bra", "BR"),
    ("mex", "MX"),
    ("ind", "IN"),
    ("nga", "NG"),
    ("ken", "KE"),
    ("zaf", "ZA"),
    ("rsa", "ZA"),
    ("jpn", "JP"),
    ("chn", "CN"),
    ("ned", "NL"),
    ("nld", "NL"),
    ("arg", "AR"),
    ("col", "CO"),
    ("chl", "CL"),
    ("per", "PE"),
    ("prt", "PT"),
    ("por", "PT"),
    ("swe", "SE"),
    ("nor", "NO"),
    ("dnk", "DK"),
    ("fin", "FI"),
    ("pol", "PL"),
    ("che", "CH"),
    ("sui", "CH"),
    ("aut", "AT"),
    ("bel", "BE"),
    ("irl", "IE"),
    ("nzl", "NZ"),
    ("phl", "PH"),
    ("idn", "ID"),
    ("mys", "MY"),
    ("tha", "TH"),
    ("vnm", "VN"),
    ("tur", "TR"),
    ("ukr", "UA"),
    ("rus", "RU"),
    ("grc", "GR"),
    ("gha", "GH"),
    ("uga", "UG"),
    ("uae", "AE"),
    ("ksa", "SA"),
    ("pak", "PK"),
    ("bgd", "BD"),
    ("egy", "EG"),
    ("cdmx", "MX-CMX"),
    ("dmv", "US-DC"),
    ("edomex", "MX-MEX"),
    ("qro", "MX-QUE"),
    ("jal", "MX-JAL"),
    ("bsas", "AR-B"),
    ("kzn", "ZA-KZN"),
    ("wb", "IN-WB"),
    ("up", "IN-UP"),
    ("mh", "IN-MH"),
    ("ts", "IN-TG"),
    ("pr", "PR"),
    ("ltd", "ZZ"),
];

/// Words before a place: what follows is meant as one.
pub(crate) fn is_locative(key: &str) -> bool {
    const LOCATIVE: &[&str] = &[
        "in",
        "from",
        "at",
        "near",
        "based",
        "living",
        "lives",
        "live",
        "born",
        "located",
        "en",
        "de",
        "em",
        "aus",
        "à",
        "a",
        "vivo",
        "desde",
        "da",
        "w",
        "из",
        "в",
        "around",
        "outside",
        "somewhere",
        "resident",
        "residing",
        "native",
        "home",
        "moved",
    ];
    LOCATIVE.contains(&key)
}

/// Words that say nothing about whether the others are a place.
pub(crate) fn is_neutral(key: &str) -> bool {
    NEUTRAL.contains(&key)
}

/// Words that are also places, or names of people: they count only next to another place that
/// agrees.
pub(crate) fn is_stop(key: &str) -> bool {
    STOP.binary_search(&key).is_ok()
}

const STOP: &[&str] = &include!("stop.in");

const NEUTRAL: &[&str] = &include!("neutral.in");
