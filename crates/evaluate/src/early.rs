//! Table of early alerts: how many that fire before a window's end are withdrawn at its close.

use std::fmt::Write as _;

use simulation::Random;
use simulation::panels::{self, Generator, PanelSpec, Rise};

use crate::panel::{Panel, Share};
use crate::{HOURS, Size, WARM_UP, operating_p};

/// Share of the posts that are deleted, after three hours on average.
const DELETED: f64 = 0.03;
const DELETED_AFTER: f64 = 3.0;

pub(crate) fn table(size: &Size, seed: u64) -> String {
    let mut random = Random::stream(seed, 7_000);
    let mut shares = [Share::default(); 3];
    for (_, generator) in Generator::ALL.into_iter().filter(|(name, _)| *name != "dead-feed") {
        for &mean in size.means {
            for nth in 0..size.early {
                let onset = WARM_UP * HOURS + (nth as usize * 7) % HOURS;
                let means = vec![mean, 0.5, 2.0, 8.0, 20.0, 50.0];
                let days = WARM_UP + 4;
                let spec = PanelSpec {
                    days,
                    generator,
                    means,
                    growth_per_week: 0.0,
                    outbreak: Some((Rise::Spike, onset)),
                };
                let drawn = panels::panel(&spec, seed + 60_000 + nth);
                let panel = Panel::from(&drawn);
                for (share, deleted) in shares.iter_mut().zip([0.0, DELETED, 3.0 * DELETED]) {
                    // The first window that fires; what follows belongs to the same alert.
                    let first = (onset + 1..onset + 2 * HOURS).find_map(|end| {
                        let posts =
                            posts(&drawn.regions[0].counts[end - HOURS..end], deleted, &mut random);
                        panel.early(0, end, operating_p(), &posts)
                    });
                    if let Some(first) = first {
                        share.add(!first.confirmed);
                    }
                }
            }
        }
    }
    let mut text = format!(
        "\n## Early alerts withdrawn\n\nAn alert fires as soon as the accounts of a window that is \
            still open pass its bound, and is confirmed or \
         withdrawn at the window's close. First alerts of simulated spikes, all generators; posts \
         and denominators as drawn; deleted posts \
         go after {DELETED_AFTER} hours on average. Required: 1 % withdrawn at most.\n\n| posts \
         deleted | fired | withdrawn |\n|---|---|---|\n"
    );
    for (share, deleted) in shares.into_iter().zip([0.0, DELETED, 3.0 * DELETED]) {
        let (low, high) = share.interval();
        let [value, low, high, deleted] =
            [share.value(), low, high, deleted].map(|share| 100.0 * share);
        let _ =
            writeln!(text, "| {deleted:.0} % | {} | {value:.2} % ({low:.2}-{high:.2}) |", share.of);
    }
    text
}

/// When each account of these hours comes, and when it is gone.
fn posts(counts: &[u32], deleted: f64, random: &mut Random) -> Vec<(f64, f64)> {
    let mut posts = Vec::new();
    for (hour, count) in counts.iter().enumerate() {
        for _ in 0..*count {
            let came = hour as f64 + random.unit();
            let stays = if random.chance(deleted) {
                DELETED_AFTER * simulation::exponential(random)
            } else {
                f64::INFINITY
            };
            posts.push((came, came + stays));
        }
    }
    posts
}
