use simulation::panels::{Generator, PanelSpec, Rise};

use super::*;

/// Accounts of a window at random instants of their hours, deleted with a probability after some
/// hours.
fn posts(
    panel: &Panel,
    end: usize,
    deleted: f64,
    random: &mut simulation::Random,
) -> Vec<(f64, f64)> {
    let counts = &panel.regions[0].counts;
    let mut posts = Vec::new();
    for hour in 0..DAY {
        let at = end - DAY + hour;
        for _ in 0..(counts[at + 1] - counts[at]) as usize {
            let came = hour as f64 + random.unit();
            let gone = if random.chance(deleted) {
                came + 3.0 * simulation::exponential(random)
            } else {
                f64::INFINITY
            };
            posts.push((came, gone));
        }
    }
    posts
}

/// (fired, withdrawn) in the first two days of simulated spikes; without deletes and with the
/// forecast held none may be withdrawn.
fn fired_and_withdrawn(deleted: f64) -> (u32, u32) {
    let mut random = simulation::Random::new(11);
    let (mut fired, mut withdrawn) = (0, 0);
    for (nth, (_, generator)) in
        Generator::ALL.into_iter().enumerate().filter(|(_, (name, _))| *name != "dead-feed")
    {
        for mean in [0.3, 4.0, 60.0] {
            let onset = 40 * DAY + 7 * nth;
            let means = vec![mean, 0.5, 2.0, 8.0, 20.0, 50.0];
            let spec = PanelSpec {
                days: 46,
                generator,
                means,
                growth_per_week: 0.0,
                outbreak: Some((Rise::Spike, onset)),
            };
            let panel = Panel::from(&panels::panel(&spec, nth as u64));
            for end in (onset + 1..onset + 2 * DAY).step_by(2) {
                let Some(early) =
                    panel.early(0, end, 1e-3, &posts(&panel, end, deleted, &mut random))
                else {
                    continue;
                };
                fired += 1;
                withdrawn += u32::from(!early.confirmed);
                assert!(
                    early.confirmed || deleted > 0.0 || !early.held,
                    "{generator:?} at {mean} a day, hour {end}"
                );
            }
        }
    }
    (fired, withdrawn)
}

#[test]
fn early_alerts_are_confirmed_while_the_forecast_holds() {
    let (fired, withdrawn) = fired_and_withdrawn(0.0);
    assert!(fired > 80 && withdrawn * 100 <= fired, "{withdrawn} of {fired}");
}

#[test]
fn at_most_one_early_alert_in_100_is_withdrawn_with_deletes() {
    let (fired, withdrawn) = fired_and_withdrawn(0.03);
    assert!(fired > 80 && withdrawn * 100 <= fired, "{withdrawn} of {fired}");
}

#[test]
fn episodes_are_alarms_joined_until_a_day_after_the_last() {
    let look = |(end, score): &(usize, f64)| Look { end: *end, score: Some(*score) };
    let looks: Vec<Look> = [(1, 9.0), (2, 1.0), (20, 8.0), (44, 8.0), (69, 8.0), (200, 5.0)]
        .iter()
        .map(look)
        .collect();
    assert_eq!(first_alarms(&looks, 6.0).map(|look| look.end).collect::<Vec<_>>(), [1, 69]);
    assert_eq!((episodes(&looks, 5.0), episodes(&looks, 10.0)), (3, 0));
    assert_eq!(caught(&looks, 6.0, 2, 48).map(|look| look.end), Some(20));
    assert_eq!(caught(&looks, 6.0, 69, 48), None);
    // The least score at which so many are left.
    assert_eq!(threshold(std::slice::from_ref(&looks), 2), 8.0);
    assert_eq!(threshold(&[looks], 0), f64::INFINITY);
}

#[test]
fn a_mean_has_the_interval_of_student() {
    let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(mean.value, 2.5);
    // t(0.975; 3) = 3.182446, standard error 0.6454972.
    assert!((mean.give_or_take - 2.054_260).abs() < 1e-5, "{mean:?}");
}
