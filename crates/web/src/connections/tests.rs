use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn connections(trusted: &[IpAddr]) -> Arc<Connections> {
    Connections::new(40, trusted.to_vec(), &Metrics::default())
}

#[test]
fn an_address_has_its_bound_then_a_reserve_for_health() {
    let connections = connections(&[]);
    let mut held: Vec<(Slot, Use)> =
        (0..100).filter_map(|_| connections.admit(address(1))).collect();
    assert_eq!(held.iter().filter(|(_, used)| *used == Use::Everything).count(), 40);
    assert_eq!(held.iter().filter(|(_, used)| *used == Use::Health).count(), RESERVE_PER_ADDRESS);
    assert_eq!(connections.admit(address(2)).map(|(_, used)| used), Some(Use::Everything));
    held.pop();
    assert_eq!(connections.admit(address(1)).map(|(_, used)| used), Some(Use::Health));
    drop(held);
    assert_eq!(connections.admit(address(1)).map(|(_, used)| used), Some(Use::Everything));
    assert!(
        connections.open.lock().unwrap().of.is_empty()
            && connections.open.lock().unwrap().reserve_of.is_empty()
    );
}

#[test]
fn a_full_server_still_takes_health_checks() {
    let connections = connections(&[]);
    let held: Vec<(Slot, Use)> = (0..=255)
        .flat_map(|last| (0..40).map(move |_| last))
        .filter_map(|last| connections.admit(address(last)))
        .collect();
    assert_eq!(held.iter().filter(|(_, used)| *used == Use::Everything).count(), CONNECTIONS_MAX);
    assert_eq!(held.len(), CONNECTIONS_MAX + RESERVE_MAX);
    assert!(connections.admit(Ipv4Addr::new(198, 51, 100, 7).into()).is_none());
    assert_eq!(
        connections.admit(Ipv4Addr::LOCALHOST.into()).map(|(_, used)| used),
        Some(Use::Health),
        "loopback has its own"
    );
}

#[test]
fn a_trusted_proxy_is_exempt_and_its_clients_are_counted() {
    let connections = connections(&[address(9)]);
    let held: Vec<(Slot, Use)> = (0..100).filter_map(|_| connections.admit(address(9))).collect();
    assert!(held.len() == 100 && held.iter().all(|(_, used)| *used == Use::Everything));
    let requests: Vec<Slot> =
        (0..100).filter_map(|_| connections.admit_forwarded(address(3))).collect();
    assert_eq!(requests.len(), 40);
    assert!(connections.admit_forwarded(address(4)).is_some());
    drop(requests);
    assert!(connections.admit_forwarded(address(3)).is_some());
}

#[test]
fn addresses_of_one_ipv6_network_are_one() {
    let connections = connections(&[]);
    let at = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
    let held: Vec<(Slot, Use)> = (0..60).filter_map(|last| connections.admit(at(last))).collect();
    assert_eq!(held.iter().filter(|(_, used)| *used == Use::Everything).count(), 40);
}
