use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_bucket_empties_and_fills_again() {
    let limits = Limits::new(60);
    let began = Instant::now();
    for _ in 0..30 {
        limits.take(address("192.0.2.1"), 1.0, began).unwrap();
    }
    let wait = limits.take(address("192.0.2.1"), 1.0, began).unwrap_err();
    assert_eq!(wait, Duration::from_secs(1));
    limits.take(address("192.0.2.2"), 1.0, began).unwrap();
    limits.take(address("192.0.2.1"), 1.0, began + wait).unwrap();
    limits.take(address("192.0.2.1"), 1.0, began + wait).unwrap_err();
}

#[test]
fn addresses_of_one_network_share_a_bucket() {
    let limits = Limits::new(2);
    let now = Instant::now();
    limits.take(address("2001:db8::1"), 1.0, now).unwrap();
    limits.take(address("2001:db8::2"), 1.0, now).unwrap_err();
    limits.take(address("2001:db8:0:1::1"), 1.0, now).unwrap();
    limits.take(address("192.0.2.9"), 1.0, now).unwrap();
    limits.take(address("::ffff:192.0.2.9"), 1.0, now).unwrap_err();
}

#[test]
fn strangers_do_not_fill_the_memory() {
    let limits = Limits::new(60);
    let now = Instant::now();
    for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 500 {
        limits.take(IpAddr::from(std::net::Ipv4Addr::from(number)), 1.0, now).unwrap();
    }
    assert!(limits.buckets.lock().unwrap().len() <= ADDRESSES_MAX);
}
