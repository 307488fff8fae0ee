//! How long a CUSUM runs until it alarms, and the reference value and limit for run lengths that
//! one wants: R's `find.kh`.

use crate::distribution::{normal_quantile, normal_upper};
use libm::{cos, exp, fabs, log};
use std::f64::consts::PI;

/// Nodes of the quadrature; R takes as many.
const NODES: usize = 50;
const STEPS_MAX: usize = 200;
/// Smallest reference value that is tried.
const K_MIN: f64 = 0.01;
/// Largest limit that is tried, in standard deviations.
const H_MAX: f64 = 200.0;

/// k and h of a one-sided CUSUM of standard normal values with average run length `in_control` at
/// mean 0 and `out_of_control` at mean 2k, the shift for which k is best; none where there is no
/// such pair.
pub(super) fn find_kh(in_control: f64, out_of_control: f64) -> Option<(f64, f64)> {
    // At this k the limit is 0 and each value is judged by itself.
    let k_max = -normal_quantile(1.0 / in_control);
    if k_max <= K_MIN {
        return None;
    }
    let gap =
        |k: f64| Some(log(normal_run_length(limit(k, in_control)?, k, 2.0 * k)? / out_of_control));
    let k = root(gap, K_MIN, k_max * (1.0 - 1e-9))?;
    Some((k, limit(k, in_control)?))
}

/// The h that gives this in-control run length.
fn limit(k: f64, in_control: f64) -> Option<f64> {
    let gap = |h: f64| Some(log(normal_run_length(h, k, 0.0)? / in_control));
    let mut high = 1.0;
    while gap(high)? < 0.0 {
        high *= 2.0;
        if high > H_MAX {
            return None;
        }
    }
    root(gap, 0.0, high)
}

/// The average run length from 0: L(z) = 1 + Φ(k − z − μ) L(0) + ∫ from 0 to h of φ(x − z + k − μ)
/// L(x) dx (Page 1954), by Gauss-Legendre quadrature.
pub(super) fn normal_run_length(h: f64, k: f64, mean: f64) -> Option<f64> {
    let nodes = gauss_legendre(NODES);
    let at: Vec<(f64, f64)> =
        nodes.iter().map(|(x, weight)| ((x + 1.0) * h / 2.0, weight * h / 2.0)).collect();
    let density = |x: f64| exp(-0.5 * x * x) / libm::sqrt(2.0 * PI);
    // Unknown 0 is L(0), the others are L at the nodes.
    let starts = std::iter::once(0.0).chain(at.iter().map(|(x, _)| *x));
    let matrix = starts.enumerate().map(|(row, z)| {
        let moves = std::iter::once(normal_upper(z + mean - k))
            .chain(at.iter().map(|(x, weight)| weight * density(x - z + k - mean)));
        moves
            .enumerate()
            .map(|(column, share)| f64::from(u8::from(row == column)) - share)
            .collect()
    });
    let length = solve_without_pivots(matrix.collect(), vec![1.0; NODES + 1])[0];
    (length.is_finite() && length > 0.0).then_some(length)
}

/// Solves A x = b for an M-matrix (I − P with P substochastic), whose elimination needs no pivots.
pub(super) fn solve_without_pivots(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        let (done, rest) = matrix.split_at_mut(pivot + 1);
        let row = &done[pivot];
        for (offset, below) in rest.iter_mut().enumerate() {
            let factor = below[pivot] / row[pivot];
            if factor == 0.0 {
                continue;
            }
            for (x, upper) in below[pivot..].iter_mut().zip(&row[pivot..]) {
                *x -= factor * upper;
            }
            right[pivot + 1 + offset] -= factor * right[pivot];
        }
    }
    for pivot in (0..size).rev() {
        let known: f64 =
            (pivot + 1..size).map(|column| matrix[pivot][column] * right[column]).sum();
        right[pivot] = (right[pivot] - known) / matrix[pivot][pivot];
    }
    right
}

/// Nodes in (−1, 1) and their weights, by Newton's method on the Legendre polynomial.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let node = |index: usize| {
        let mut x = cos(PI * (index as f64 + 0.75) / (n + 0.5));
        let mut slope = 1.0;
        for _ in 0..STEPS_MAX {
            let (mut value, mut before) = (x, 1.0);
            for degree in 2..=count {
                let d = degree as f64;
                (value, before) = (((2.0 * d - 1.0) * x * value - (d - 1.0) * before) / d, value);
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if fabs(step) < 1e-15 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(node).collect()
}

/// Where a monotone function is 0 between two points, by the Illinois method.
fn root(f: impl Fn(f64) -> Option<f64>, low: f64, high: f64) -> Option<f64> {
    let (mut a, mut b) = (low, high);
    let (mut at_a, mut at_b) = (f(a)?, f(b)?);
    if at_a * at_b > 0.0 {
        return None;
    }
    for _ in 0..STEPS_MAX {
        let x = (a * at_b - b * at_a) / (at_b - at_a);
        let at_x = f(x)?;
        if fabs(at_x) < 1e-13 || fabs(b - a) < 1e-14 * fabs(b) {
            return Some(x);
        }
        if at_x * at_b < 0.0 {
            (a, at_a) = (b, at_b);
        } else {
            at_a /= 2.0;
        }
        (b, at_b) = (x, at_x);
    }
    Some(b)
}
