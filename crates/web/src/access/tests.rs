use super::*;

fn sessions(proxies: &[&str]) -> Sessions {
    Sessions::new(Access {
        tokens: Arc::new(|token| {
            (*token == print("good"))
                .then(|| Holder { name: "duty".to_owned(), role: Role::Official })
        }),
        start: Some(start_link("first")),
        proxies: proxies.iter().map(|address| address.parse().unwrap()).collect(),
        proxy_secret: Some("shared".to_owned()),
        https: false,
        anonymous: Role::Public,
    })
}

/// A start link as the binary hands it in: it opens once.
pub(crate) fn start_link(secret: &str) -> StartLink {
    let left = Mutex::new(Some(print(secret)));
    Arc::new(move |given| left.lock().unwrap().take_if(|left| left == given).is_some())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

fn key_of(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_bearer_token_is_somebody_or_refused() {
    let sessions = sessions(&[]);
    assert_eq!(
        sessions.holder(&headers(&[("authorization", "Bearer good")]), None).unwrap().role,
        Role::Official
    );
    for forged in ["Bearer bad", "Bearer ", "Basic good", "good", "Bearer good good", "Bearer goo"]
    {
        let refused = sessions.holder(&headers(&[("authorization", forged)]), None).unwrap_err();
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{forged}");
    }
    assert_eq!(sessions.holder(&HeaderMap::new(), None).unwrap().role, Role::Public);
}

#[test]
fn the_start_link_opens_one_session_and_no_second() {
    let sessions = sessions(&[]);
    assert!(sessions.open("second").is_none());
    let (holder, cookie) = sessions.open("first").unwrap();
    assert_eq!(holder.role, Role::Operator);
    assert!(sessions.open("first").is_none());
    let with = headers(&[("cookie", &format!("other=1; {}", key_of(&cookie)))]);
    assert_eq!(sessions.holder(&with, None).unwrap().role, Role::Operator);
    sessions.close(&with);
    assert_eq!(sessions.holder(&with, None).unwrap().role, Role::Public);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
}

#[test]
fn a_session_ends_with_its_token_and_has_its_role() {
    let known: Arc<Mutex<Option<Role>>> = Arc::new(Mutex::new(Some(Role::Official)));
    let role = Arc::clone(&known);
    let tokens: Tokens = Arc::new(move |token| {
        let role = (*role.lock().unwrap()).filter(|_| *token == print("good"))?;
        Some(Holder { name: "duty".to_owned(), role })
    });
    let sessions = Sessions::new(Access { tokens, ..Access::default() });
    let cookie = key_of(&sessions.open("good").unwrap().1);
    let with = headers(&[("cookie", &cookie)]);
    let role_now = || sessions.holder(&with, None).unwrap().role;
    assert_eq!(role_now(), Role::Official);
    *known.lock().unwrap() = Some(Role::Viewer);
    assert_eq!(role_now(), Role::Viewer);
    *known.lock().unwrap() = None;
    assert_eq!(role_now(), Role::Public);
    *known.lock().unwrap() = Some(Role::Official);
    assert_eq!(role_now(), Role::Public, "it is over for good");
}

#[test]
fn sessions_are_bounded_and_guessing_opens_none() {
    let sessions = sessions(&[]);
    let cookies: Vec<String> =
        (0..SESSIONS_MAX + 3).map(|_| key_of(&sessions.open("good").unwrap().1)).collect();
    assert_eq!(sessions.open.lock().unwrap().len(), SESSIONS_MAX);
    assert_eq!(
        sessions.holder(&headers(&[("cookie", &cookies[0])]), None).unwrap().role,
        Role::Public
    );
    assert_eq!(
        sessions.holder(&headers(&[("cookie", &cookies[SESSIONS_MAX])]), None).unwrap().role,
        Role::Official
    );
    assert_eq!(
        sessions.holder(&headers(&[("cookie", "pumphandle-session=0000")]), None).unwrap().role,
        Role::Public
    );
}

#[test]
fn behind_https_the_cookie_is_for_this_host_and_https_alone() {
    let tokens: Tokens = Arc::new(|token| {
        (*token == print("good")).then(|| Holder { name: "duty".to_owned(), role: Role::Official })
    });
    let sessions = Sessions::new(Access { tokens, https: true, ..Access::default() });
    let cookie = sessions.open("good").unwrap().1;
    assert!(
        cookie.starts_with("__Host-pumphandle-session=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    assert!(cookie.contains("; Path=/") && !cookie.contains("Domain"), "{cookie}");
    let with = headers(&[("cookie", &key_of(&cookie))]);
    assert_eq!(sessions.holder(&with, None).unwrap().role, Role::Official);
    // One that anything on a neighbouring host could have set is none.
    let plain = key_of(&cookie).replace("__Host-", "");
    assert_eq!(sessions.holder(&headers(&[("cookie", &plain)]), None).unwrap().role, Role::Public);
    assert!(!is_ours(
        &Method::POST,
        &headers(&[("host", "localhost"), ("cookie", &key_of(&cookie))])
    ));
    let gone = sessions.close(&with);
    assert!(gone.starts_with("__Host-pumphandle-session=;") && gone.contains("; Secure"), "{gone}");
    assert_eq!(sessions.holder(&with, None).unwrap().role, Role::Public);
}

#[test]
fn a_proxys_word_counts_only_from_its_address() {
    let said = headers(&[
        (USER_HEADER, "Duty officer"),
        (ROLE_HEADER, "operator"),
        (PROXY_SECRET_HEADER, "shared"),
    ]);
    let sessions = sessions(&["127.0.0.1"]);
    assert_eq!(sessions.holder(&said, "127.0.0.1".parse().ok()).unwrap().role, Role::Operator);
    assert_eq!(sessions.holder(&said, "192.0.2.1".parse().ok()).unwrap().role, Role::Public);
    assert_eq!(sessions.holder(&said, None).unwrap().role, Role::Public);
    let odd =
        headers(&[(USER_HEADER, "x"), (ROLE_HEADER, "root"), (PROXY_SECRET_HEADER, "shared")]);
    assert_eq!(sessions.holder(&odd, "127.0.0.1".parse().ok()).unwrap().role, Role::Public);
}

#[test]
fn a_proxy_without_the_secret_gives_nobody_a_role() {
    let (user, role) = ((USER_HEADER, "Duty officer"), (ROLE_HEADER, "operator"));
    let sessions = sessions(&["127.0.0.1"]);
    let proxy = || "127.0.0.1".parse().ok();
    for given in [vec![], vec!["share"], vec![""], vec!["shared", "shared"], vec!["Shared"]] {
        let mut pairs = vec![user, role];
        pairs.extend(given.iter().map(|secret| (PROXY_SECRET_HEADER, *secret)));
        let mut said = headers(&[]);
        for (name, value) in pairs {
            said.append(name, value.parse().unwrap());
        }
        assert_eq!(sessions.holder(&said, proxy()).unwrap().role, Role::Public, "{given:?}");
    }
    let none =
        Sessions::new(Access { proxies: vec!["127.0.0.1".parse().unwrap()], ..Access::default() });
    let empty = headers(&[user, role, (PROXY_SECRET_HEADER, "")]);
    assert_eq!(none.holder(&empty, proxy()).unwrap().role, Role::Public);
    let blank = Access {
        proxies: vec!["127.0.0.1".parse().unwrap()],
        proxy_secret: Some(String::new()),
        ..Access::default()
    };
    assert_eq!(Sessions::new(blank).holder(&empty, proxy()).unwrap().role, Role::Public);
}

#[test]
fn a_change_comes_from_our_own_page_or_from_no_browser() {
    let post = Method::POST;
    let host = ("host", "localhost:8080");
    let session = ("cookie", "pumphandle-session=1");
    assert!(is_ours(&post, &headers(&[host, ("origin", "http://localhost:8080"), session])));
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:8081",
        "file://",
        "ftp://localhost:8080",
        "http://localhost:8080.evil.example",
    ] {
        assert!(!is_ours(&post, &headers(&[host, ("origin", origin), session])), "{origin}");
        assert!(!is_ours(&post, &headers(&[host, ("origin", origin)])), "{origin}");
    }
    assert!(!is_ours(&post, &headers(&[host, session])));
    assert!(is_ours(&post, &headers(&[host, ("authorization", "Bearer good")])));
    assert!(is_ours(&Method::GET, &headers(&[host, ("origin", "http://evil.example")])));
}

#[test]
fn changes_are_signed_by_name_or_as_nobody_s() {
    let holder = |name: &str| Holder { name: name.to_owned(), role: Role::Official };
    assert_eq!(
        (holder("Ann").actor(), holder("").actor()),
        ("Ann".to_owned(), NOT_SIGNED_IN.to_owned())
    );
}
