//! Weighted least squares by Householder QR, and the generalised linear models of `cusum` and `glr`
//! on top of it: Poisson and negative-binomial with a log link.
//!
//! The iteration is that of R's `glm.fit`: start at y + 0.1, stop when the deviance changes by less
//! than 1e-8 of itself, at most 25 times. The quasi-Poisson fits of Farrington have a shape that
//! needs no QR and are in `quasipoisson`.

use libm::{exp, fabs, lgamma, log, sqrt};

/// R's tolerance under which a column counts as a combination of those before it.
const COLLINEAR: f64 = 1e-11;
pub(super) const ITERATIONS_MAX: usize = 25;
pub(super) const DEVIANCE_TOLERANCE: f64 = 1e-8;

/// Coefficients of a least-squares fit; 0 for a column that is a combination of earlier ones.
pub(super) struct LinearFit {
    pub(super) coefficients: Vec<f64>,
    pub(super) rank: usize,
}

/// Minimises |y − X b|². `columns` are those of X, all as long as `y`.
pub(super) fn least_squares(mut columns: Vec<Vec<f64>>, mut y: Vec<f64>) -> LinearFit {
    let width = columns.len();
    let mut upper: Vec<Vec<f64>> = Vec::with_capacity(width);
    let mut used: Vec<usize> = Vec::with_capacity(width);
    for index in 0..width {
        let rank = used.len();
        let mut column = std::mem::take(&mut columns[index]);
        let whole = norm(&column);
        // Earlier reflections are applied to every later column as they are made, below.
        let rest = if rank < column.len() { norm(&column[rank..]) } else { 0.0 };
        if whole == 0.0 || rest <= COLLINEAR * whole || !rest.is_finite() {
            continue;
        }
        let head = column[rank];
        let diagonal = if head > 0.0 { -rest } else { rest };
        let mut reflector = column[rank..].to_vec();
        reflector[0] = head - diagonal;
        let scale = 2.0 / reflector.iter().map(|v| v * v).sum::<f64>();
        for later in columns[index + 1..].iter_mut().chain(std::iter::once(&mut y)) {
            let tail = &mut later[rank..];
            let share = scale * reflector.iter().zip(&*tail).map(|(v, x)| v * x).sum::<f64>();
            for (x, v) in tail.iter_mut().zip(&reflector) {
                *x -= share * v;
            }
        }
        column.truncate(rank);
        column.push(diagonal);
        upper.push(column);
        used.push(index);
    }
    let rank = used.len();
    let mut coefficients = vec![0.0; width];
    let mut solved = vec![0.0; rank];
    for place in (0..rank).rev() {
        let known: f64 = (place + 1..rank).map(|later| upper[later][place] * solved[later]).sum();
        solved[place] = (y[place] - known) / upper[place][place];
        coefficients[used[place]] = solved[place];
    }
    LinearFit { coefficients, rank }
}

fn norm(values: &[f64]) -> f64 {
    sqrt(values.iter().map(|value| value * value).sum::<f64>())
}

/// The law of a count around its mean.
#[derive(Clone, Copy)]
pub(super) enum Family {
    Poisson,
    /// Variance mean + mean² / size.
    NegativeBinomial {
        size: f64,
    },
}

impl Family {
    fn weight(self, mean: f64) -> f64 {
        match self {
            Family::Poisson => mean,
            Family::NegativeBinomial { size } => mean * mean / (mean + mean * mean / size),
        }
    }

    fn deviance(self, y: f64, mean: f64) -> f64 {
        match self {
            Family::Poisson if y == 0.0 => 2.0 * mean,
            Family::Poisson => 2.0 * (y * log(y / mean) - (y - mean)),
            Family::NegativeBinomial { size } => {
                2.0 * (y * log(y.max(1.0) / mean) - (y + size) * log((y + size) / (mean + size)))
            }
        }
    }
}

/// A generalised linear model with a log link.
pub(super) struct LogFit {
    pub(super) coefficients: Vec<f64>,
    pub(super) means: Vec<f64>,
    pub(super) converged: bool,
}

/// Fits it; `start` are linear predictors to start from.
pub(super) fn fit_log_linear(
    columns: &[Vec<f64>],
    y: &[f64],
    family: Family,
    start: Option<&[f64]>,
) -> LogFit {
    let mut predictors: Vec<f64> = match start {
        Some(start) => start.to_vec(),
        None => y.iter().map(|y| log(y + start_shift(family, *y))).collect(),
    };
    let mut means: Vec<f64> = predictors.iter().map(|eta| mean_of(*eta)).collect();
    let deviance = |means: &[f64]| {
        y.iter().zip(means).map(|(y, mean)| family.deviance(*y, *mean)).sum::<f64>()
    };
    let mut last = deviance(&means);
    let mut fit = LinearFit { coefficients: vec![0.0; columns.len()], rank: 0 };
    let mut converged = false;
    for _ in 0..ITERATIONS_MAX {
        let roots: Vec<f64> = means.iter().map(|mean| sqrt(family.weight(*mean))).collect();
        let weighted = columns
            .iter()
            .map(|column| column.iter().zip(&roots).map(|(x, root)| x * root).collect())
            .collect();
        let working = (0..y.len())
            .map(|i| (predictors[i] + (y[i] - means[i]) / means[i]) * roots[i])
            .collect();
        fit = least_squares(weighted, working);
        for (i, eta) in predictors.iter_mut().enumerate() {
            *eta = columns.iter().zip(&fit.coefficients).map(|(column, b)| column[i] * b).sum();
            means[i] = mean_of(*eta);
        }
        let now = deviance(&means);
        if !now.is_finite() {
            break;
        }
        if fabs(now - last) / (fabs(now) + 0.1) < DEVIANCE_TOLERANCE {
            converged = true;
            break;
        }
        last = now;
    }
    LogFit { coefficients: fit.coefficients, means, converged }
}

/// Where R's families start: y + 0.1 for Poisson, y + 1/6 at zeros for the negative-binomial.
fn start_shift(family: Family, y: f64) -> f64 {
    match family {
        Family::Poisson => 0.1,
        Family::NegativeBinomial { .. } => {
            if y == 0.0 {
                1.0 / 6.0
            } else {
                0.0
            }
        }
    }
}

/// The inverse link, with R's floor.
pub(super) fn mean_of(eta: f64) -> f64 {
    exp(eta).max(f64::EPSILON)
}

/// 1, optionally t, then cos and sin of 2π s t / `frequency` for s = 1 … `waves`; a row of it.
pub(super) fn harmonic_row(t: f64, frequency: f64, waves: usize, trend: bool) -> Vec<f64> {
    let mut row = vec![1.0];
    if trend {
        row.push(t);
    }
    for wave in 1..=waves {
        let angle = 2.0 * std::f64::consts::PI * wave as f64 / frequency * t;
        row.push(libm::cos(angle));
        row.push(libm::sin(angle));
    }
    row
}

/// The rows as columns.
pub(super) fn transposed(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    (0..width).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

/// Coefficients and size (variance mean + mean²/size) of a negative-binomial model with a log link,
/// by the alternation of R's `MASS::glm.nb`: coefficients for a size, size for the means.
pub(super) fn fit_negative_binomial(columns: &[Vec<f64>], y: &[f64]) -> Option<(Vec<f64>, f64)> {
    let poisson = fit_log_linear(columns, y, Family::Poisson, None);
    let freedom = y.len().saturating_sub(columns.len()).max(1) as f64;
    let unit = sqrt(2.0 * freedom);
    let mut coefficients = poisson.coefficients;
    let mut means = poisson.means;
    let mut size = best_size(y, &means);
    let mut likelihood = log_likelihood(size, &means, y);
    let mut likelihood_before = likelihood + 2.0 * unit;
    let mut change = 1.0;
    for _ in 0..ITERATIONS_MAX {
        let moved = fabs(likelihood_before - likelihood) / unit + fabs(change);
        if !moved.is_finite() || moved <= DEVIANCE_TOLERANCE || size <= 0.0 {
            break;
        }
        let start: Vec<f64> = means.iter().map(|mean| log(*mean)).collect();
        let fit = fit_log_linear(columns, y, Family::NegativeBinomial { size }, Some(&start));
        coefficients = fit.coefficients;
        means = fit.means;
        let before = size;
        size = best_size(y, &means);
        change = before - size;
        likelihood_before = likelihood;
        likelihood = log_likelihood(size, &means, y);
    }
    let is_fit = size.is_finite() && size > 0.0 && coefficients.iter().all(|b| b.is_finite());
    is_fit.then_some((coefficients, size))
}

/// The most likely size for given means, as R's `MASS::theta.ml`.
fn best_size(y: &[f64], means: &[f64]) -> f64 {
    let tolerance = sqrt(sqrt(f64::EPSILON));
    let relative: f64 =
        y.iter().zip(means).map(|(y, mean)| (y / mean - 1.0) * (y / mean - 1.0)).sum();
    let mut size = y.len() as f64 / relative;
    for _ in 0..ITERATIONS_MAX {
        size = fabs(size);
        let (mut score, mut information) = (0.0, 0.0);
        for (y, mean) in y.iter().zip(means) {
            let whole = mean + size;
            score += digamma(size + y) - digamma(size) + log(size) + 1.0
                - log(whole)
                - (y + size) / whole;
            information += trigamma(size) - trigamma(size + y) - 1.0 / size + 2.0 / whole
                - (y + size) / (whole * whole);
        }
        let step = score / information;
        size += step;
        if step.is_nan() || fabs(step) <= tolerance {
            break;
        }
    }
    size
}

fn log_likelihood(size: f64, means: &[f64], y: &[f64]) -> f64 {
    let part = |(y, mean): (&f64, &f64)| {
        lgamma(size + y) - lgamma(size) - lgamma(y + 1.0)
            + size * log(size)
            + y * log(mean + f64::from(u8::from(*y == 0.0)))
            - (size + y) * log(size + mean)
    };
    y.iter().zip(means).map(part).sum()
}

/// Ψ(x) for x > 0: recurrence up to 12, then the asymptotic series (Abramowitz, Stegun 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut value = 0.0;
    while x < 12.0 {
        if x <= 0.0 || x.is_nan() {
            return f64::NAN;
        }
        value -= 1.0 / x;
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    let series = s
        * (1.0 / 12.0
            - s * (1.0 / 120.0
                - s * (1.0 / 252.0
                    - s * (1.0 / 240.0 - s * (1.0 / 132.0 - s * 691.0 / 32_760.0)))));
    value + log(x) - 0.5 / x - series
}

/// Ψ′(x) for x > 0 (Abramowitz, Stegun 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut value = 0.0;
    while x < 12.0 {
        if x <= 0.0 || x.is_nan() {
            return f64::NAN;
        }
        value += 1.0 / (x * x);
        x += 1.0;
    }
    let s = 1.0 / (x * x);
    let series = 1.0 / 6.0
        - s * (1.0 / 30.0
            - s * (1.0 / 42.0 - s * (1.0 / 30.0 - s * (5.0 / 66.0 - s * 691.0 / 2_730.0))));
    value + 1.0 / x + 0.5 * s + s / x * series
}
