//! What no oracle row says: the golden vectors of epitweetr, the floors, the reasons, and that no
//! input whatever brings forth a panic or a number that is none.

use record::time::date;

use super::*;
use crate::distribution::{
    beta_lower, gamma_lower, gamma_upper, negative_binomial_quantile, negative_binomial_upper,
    normal_quantile, normal_upper, poisson_quantile, poisson_upper, t_quantile_upper, t_upper,
};
use proptest::prelude::*;
use statrs::distribution::{ContinuousCDF, DiscreteCDF};

fn method(name: &str, params: &[(&str, &str)]) -> Method {
    let params: Vec<(String, String)> =
        params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Method::parse(name, &params).unwrap()
}

fn refusal(name: &str, params: &[(&str, &str)]) -> String {
    let params: Vec<(String, String)> =
        params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Method::parse(name, &params).unwrap_err().to_string()
}

fn counts(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

fn near(ours: f64, theirs: f64, tolerance: f64) {
    assert!(
        (ours - theirs).abs() <= tolerance * theirs.abs().max(1e-300),
        "{ours} is not {theirs}"
    );
}

/// Baseline, count, alpha, mean, limit, alert.
type Golden<'a> = (&'a [f64], f64, &'a str, f64, Option<f64>, Option<bool>);

/// From the original function of epitweetr: baseline, count, alpha, mean, limit, alert.
#[test]
fn eears_gives_the_golden_vectors_of_epitweetr() {
    let vectors: &[Golden] = &[
        (
            &[150., 130., 122., 160., 155., 128., 144.],
            125.,
            "0.025",
            141.28571,
            Some(179.75201),
            Some(false),
        ),
        (
            &[130., 122., 160., 155., 128., 144., 125.],
            300.,
            "0.025",
            137.71429,
            Some(177.63548),
            Some(true),
        ),
        (
            &[122., 160., 155., 128., 144., 125., 300.],
            319.,
            "0.025",
            162.0,
            Some(182.04508),
            Some(true),
        ),
        (
            &[160., 155., 128., 144., 125., 300., 319.],
            289.,
            "0.025",
            190.14286,
            Some(397.91350),
            Some(false),
        ),
        (
            &[12., 15., 11., 40., 13., 14., 12.],
            30.,
            "0.025",
            16.71428571,
            Some(16.65566169),
            Some(true),
        ),
        (&[0., 0., 1., 0., 2., 0., 0.], 3., "0.025", 0.4285714286, Some(1.341368206), Some(true)),
        (
            &[100., 90., 110., 105., 95., 98., 102.],
            130.,
            "0.0001",
            100.0,
            Some(155.9846221),
            Some(false),
        ),
        (&[0., 0., 0., 1., 0., 0., 0.], 1., "0.025", 0.142857, Some(0.0), Some(true)),
        (&[5., 5., 5., 6., 5., 5., 5.], 6., "0.025", 5.142857, Some(5.0), Some(true)),
        (&[0.; 7], 50., "0.025", 0.0, None, None),
        (&[5.; 7], 500., "0.025", 5.0, None, None),
    ];
    for (baseline, count, alpha, mean, limit, alert) in vectors {
        let method = method("eears", &[("compat", "epitweetr"), ("alpha", alpha)]);
        let mut observed = counts(baseline);
        observed.push(Some(*count));
        let judgement = judge_last(&method, &observed);
        assert_eq!(judgement, *detect(&method, &observed, None).last().unwrap());
        near(judgement.expected.unwrap(), *mean, 5e-6);
        assert_eq!(judgement.upperbound.is_some(), limit.is_some(), "{baseline:?}");
        if let (Some(ours), Some(theirs)) = (judgement.upperbound, limit) {
            near(ours, *theirs, 5e-8);
        }
        assert_eq!(judgement.alarm, *alert, "{baseline:?}");
        assert_eq!(judgement.reason, alert.is_none().then_some(Reason::ConstantBaseline));
    }
}

#[test]
fn eears_fixed_answers_after_a_constant_past() {
    let fixed = method("eears", &[]);
    let last = |past: &[f64], count: f64| {
        let mut observed = counts(past);
        observed.push(Some(count));
        judge_last(&fixed, &observed)
    };
    // t quantile 2.4469 · 0.5 · √(8/7)
    near(last(&[0.; 7], 1.0).upperbound.unwrap(), 1.307_929_400, 1e-8);
    assert_eq!(last(&[0.; 7], 1.0).alarm, Some(false));
    assert_eq!(last(&[0.; 7], 2.0).alarm, Some(true));
    assert_eq!(last(&[0.; 7], 200.0).alarm, Some(true));
    assert_eq!(last(&[5.; 7], 6.0).alarm, Some(false));
    assert_eq!(last(&[5.; 7], 500.0).alarm, Some(true));
    assert_eq!(
        last(&[0., 0., 0., 1., 0., 0., 0.], 1.0).alarm,
        Some(false),
        "one post is no outbreak"
    );
}

#[test]
fn the_pipeline_makes_do_with_three_windows() {
    for (name, least) in [("eears", 3), ("ears-c1", 3), ("ears-c2", 5)] {
        let method = method(name, &[]);
        let mut observed = counts(&[4., 2., 3., 5., 1., 2., 4., 3.]);
        observed.truncate(least);
        observed.push(Some(90.0));
        let judgement = judge_last(&method, &observed);
        assert_eq!(judgement.alarm, Some(true), "{name}");
        observed.remove(0);
        assert_eq!(judge_last(&method, &observed).reason, Some(Reason::BaselineTooShort), "{name}");
    }
    // C3 alarms a point late, for what was carried over.
    let c3 = method("ears-c3", &[]);
    assert_eq!(judge_last(&c3, &counts(&[4., 2., 3., 5., 1., 90.])).alarm, Some(false));
    assert_eq!(judge_last(&c3, &counts(&[4., 2., 3., 5., 1., 90., 3.])).alarm, Some(true));
    assert_eq!(
        judge_last(&c3, &counts(&[4., 2., 3., 5., 1.])).reason,
        Some(Reason::BaselineTooShort)
    );
    // n = 3: mean 3, variance 1 raised to the mean, t quantile 4.3027 with 2 degrees of freedom.
    let judgement = judge_last(&method("eears", &[]), &counts(&[4., 2., 3., 90.]));
    near(judgement.upperbound.unwrap(), 3.0 + 4.302_652_729_749_46 * 2.0, 1e-12);
}

#[test]
fn missing_windows_are_left_out() {
    let with_gaps =
        [Some(4.0), None, Some(2.0), Some(f64::NAN), Some(3.0), Some(-1.0), None, Some(9.0)];
    let without = judge_last(&method("eears", &[]), &counts(&[4., 2., 3., 9.]));
    assert_eq!(judge_last(&method("eears", &[]), &with_gaps), without);
}

#[test]
fn a_point_that_cannot_be_judged_says_why() {
    let past = [Some(4.0), Some(2.0), Some(3.0), Some(3.0), Some(3.0), Some(3.0), Some(3.0)];
    for name in ["ears-c1", "eears"] {
        for (value, reason) in [
            (None, Reason::MissingValue),
            (Some(-1.0), Reason::NegativeCount),
            (Some(f64::NAN), Reason::NotFinite),
            (Some(f64::INFINITY), Reason::NotFinite),
        ] {
            let mut observed = past.to_vec();
            observed.push(value);
            let judgement = judge_last(&method(name, &[]), &observed);
            assert_eq!((judgement.alarm, judgement.reason), (None, Some(reason)));
            assert!(judgement.upperbound.is_some(), "the limit is known all the same");
        }
    }
    assert_eq!(judge_last(&method("eears", &[]), &[]).reason, Some(Reason::MissingValue));
    assert_eq!(
        judge_last(&method("ears-c3", &[]), &counts(&[1.; 20])).reason,
        Some(Reason::ConstantBaseline)
    );
    let outside = detect(
        &method("ears-c1", &[("range", "9:9")]),
        &counts(&[1., 2., 3., 1., 2., 3., 1., 2., 3., 4.]),
        None,
    );
    let judged: Vec<bool> = outside.iter().map(|judgement| judgement.alarm.is_some()).collect();
    assert_eq!(judged, [false, false, false, false, false, false, false, false, true, false]);
}

#[test]
fn reasons_have_their_own_texts() {
    let mut texts: Vec<&str> = Reason::ALL.iter().map(|reason| reason.text()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), Reason::ALL.len());
}

#[test]
fn mistakes_get_a_hint() {
    expect_test::expect![[r#"
        unknown method `ears-c4`
        hint: did you mean `ears-c1`?"#]]
    .assert_eq(&refusal("ears-c4", &[]));
    expect_test::expect![[r#"
        unknown parameter `baselin` of method `eears`
        hint: did you mean `baseline`?"#]]
    .assert_eq(&refusal("eears", &[("baselin", "7")]));
    expect_test::expect![[r#"
        bad value `2` for parameter `alpha` of method `eears`
        hint: a number between 0 and 1, such as 0.05"#]]
    .assert_eq(&refusal("eears", &[("alpha", "2")]));
    expect_test::expect![[r#"
        bad value `1` for parameter `baseline` of method `ears-c1`
        hint: a whole number from 3 to 10000"#]]
    .assert_eq(&refusal("ears-c1", &[("baseline", "1")]));
    expect_test::expect![[r#"
        bad value `9:3` for parameter `range` of method `ears-c1`
        hint: first and last point counted from 1, such as `120:208`"#]]
    .assert_eq(&refusal("ears-c1", &[("range", "9:3")]));
    expect_test::expect![[r#"
        parameter `minSigma` of method `ears-c1` is given twice
        hint: keep one of them"#]]
    .assert_eq(&refusal("ears-c1", &[("min-sigma", "1"), ("minSigma", "2")]));
    assert!(refusal("ears-c1", &[("min-sigma", "NaN")]).starts_with("bad value"));
}

#[test]
fn every_name_parses_and_comes_back() {
    for name in Method::NAMES {
        assert_eq!(method(name, &[]).name(), *name);
    }
}

/// Known values: R's qt, qnorm, and closed forms.
#[test]
fn quantiles_are_right() {
    near(t_quantile_upper(0.025, 6.0), 2.446_911_851_144_97, 1e-13);
    near(t_quantile_upper(0.025 / 250.0, 6.0), 8.024_8, 1e-4);
    near(t_quantile_upper(0.05, 5.0), 2.015_048_373_333_02, 1e-13);
    near(normal_quantile(0.999), 3.090_232_306_167_81, 1e-13);
    near(normal_quantile(0.975), 1.959_963_984_540_05, 1e-13);
    for df in 1..60 {
        for upper in [1e-12, 1e-6, 0.001, 0.025, 0.2, 0.4999, 0.7] {
            let x = t_quantile_upper(upper, f64::from(df));
            near(t_upper(x, f64::from(df)), upper, 1e-12);
        }
    }
    for p in [1e-300, 1e-20, 1e-5, 0.01, 0.3] {
        near(normal_upper(-normal_quantile(p)), p, 1e-12);
    }
}

/// An independent implementation, where that one is accurate enough.
#[test]
fn tails_equal_those_of_statrs() {
    for (a, b) in [(0.5, 3.0), (2.0, 0.5), (7.3, 41.0), (120.0, 80.5), (3000.0, 10.0)] {
        for x in [0.01, 0.2, 0.5, 0.77, 0.99] {
            let theirs = statrs::function::beta::beta_reg(a, b, x);
            assert!((beta_lower(a, b, x, 1.0 - x) - theirs).abs() < 1e-11, "I_{x}({a}, {b})");
        }
    }
    for a in [0.5, 3.0, 17.5, 400.0] {
        for x in [0.1, 2.0, 15.0, 390.0, 500.0] {
            assert!((gamma_lower(a, x) - statrs::function::gamma::gamma_lr(a, x)).abs() < 1e-11);
            near(gamma_lower(a, x) + gamma_upper(a, x), 1.0, 1e-12);
        }
    }
    let normal = statrs::distribution::Normal::standard();
    for p in [1e-9, 0.003, 0.02, 0.2, 0.5, 0.8, 0.97, 0.9999] {
        assert!((normal_quantile(p) - normal.inverse_cdf(p)).abs() < 1e-9);
    }
    let poisson = statrs::distribution::Poisson::new(7.5).unwrap();
    for y in 1..30_u32 {
        assert!((poisson_upper(f64::from(y), 7.5) - poisson.sf(u64::from(y) - 1)).abs() < 1e-11);
    }
}

#[test]
fn discrete_quantiles_are_the_least_that_reach() {
    for mean in [1e-9, 0.01, 0.7, 3.0, 45.5, 900.0, 2e5] {
        for p in [0.5, 0.95, 0.99, 0.999_999] {
            let k = poisson_quantile(p, mean);
            assert!(1.0 - poisson_upper(k + 1.0, mean) >= p - 1e-12);
            assert!(k == 0.0 || 1.0 - poisson_upper(k, mean) < p);
            for factor in [1.000_001, 1.5, 20.0] {
                let (size, prob) = (mean / (factor - 1.0), 1.0 / factor);
                let k = negative_binomial_quantile(p, size, prob);
                assert!(1.0 - negative_binomial_upper(k + 1.0, size, prob) >= p - 1e-12);
                assert!(
                    k == 0.0 || 1.0 - negative_binomial_upper(k, size, prob) < p,
                    "{mean} {p} {factor}"
                );
            }
        }
    }
    assert!(poisson_quantile(0.999, 1e15) > 1e15);
    assert!(negative_binomial_quantile(0.999, 1e15, 1e-3) > 9e17);
}

#[test]
fn the_anscombe_integral_equals_a_plain_quadrature() {
    for a in [0.01, 0.1, 2.0] {
        for y in [0.5, 3.0, 39.0, 41.0, 700.0] {
            let (series, quadrature) = cusum::anscombe_integral_both_ways(y, a);
            near(series, quadrature, 1e-6);
        }
    }
}

#[test]
fn the_calendar_goes_there_and_back() {
    for day in (-800_000..800_000).step_by(97) {
        let (year, month, of_month) = date(day);
        assert_eq!(calendar::day_of(year, i64::from(month), i64::from(of_month)), day);
    }
    assert_eq!(date(0), (1970, 1, 1));
    let leap_day = calendar::day_of(2024, 2, 29);
    assert_eq!(date(calendar::years_back(leap_day, 1)), (2023, 3, 1));
    assert_eq!(date(calendar::months_on(calendar::day_of(2023, 12, 1), 3)), (2024, 3, 1));
    // A Monday looks for the Monday nearest to Saturday and to Thursday a year before.
    let monday = calendar::day_of(2026, 11, 23);
    assert_eq!(
        date(calendar::nearest_same_weekday(calendar::day_of(2025, 11, 22), monday)),
        (2025, 11, 24)
    );
    assert_eq!(
        date(calendar::nearest_same_weekday(calendar::day_of(2025, 11, 20), monday)),
        (2025, 11, 17)
    );
}

#[test]
fn farrington_says_why_the_past_is_too_short() {
    for name in ["farrington", "farrington-flexible"] {
        let judgements = detect(
            &method(name, &[("b", "2"), ("w", "1"), ("freq", "10")]),
            &counts(&[3.0; 40]),
            None,
        );
        let first = judgements.iter().position(|judgement| judgement.alarm.is_some()).unwrap();
        assert_eq!(judgements[0].reason, Some(Reason::BaselineTooShort));
        assert!((18..=21).contains(&first), "{name} answers from {first}");
    }
}

#[test]
fn farrington_needs_the_denominator_it_is_told_to_use() {
    let with_offset = method(
        "farrington-flexible",
        &[("population-offset", "true"), ("b", "2"), ("w", "2"), ("freq", "10")],
    );
    let observed = counts(&[3.0; 40]);
    let answer =
        |population: Option<&[Option<f64>]>| detect(&with_offset, &observed, population)[39];
    assert_eq!(answer(None).reason, Some(Reason::MissingPopulation));
    let mut population = vec![Some(1000.0); 40];
    assert_eq!(answer(Some(&population)).alarm, Some(false));
    population[39] = Some(0.0);
    assert_eq!(answer(Some(&population)).reason, Some(Reason::MissingPopulation));
    // Ten times the posts, ten times the expectation.
    population[39] = Some(10_000.0);
    near(answer(Some(&population)).expected.unwrap(), 30.0, 1e-6);
}

/// The error of R's dispersion can change a limit only where a standard error enters.
#[test]
fn the_right_dispersion_and_that_of_r_agree_on_the_plugged_in_limit() {
    let observed: Vec<Option<f64>> =
        (0..120).map(|t| Some(f64::from((t * 7 + t * t % 11) % 13 + t % 10))).collect();
    let limits = |threshold: &str, compat: bool| {
        let mut params = vec![
            ("b", "4"),
            ("w", "2"),
            ("freq", "20"),
            ("p-threshold-trend", "1"),
            ("threshold-method", threshold),
        ];
        if compat {
            params.push(("compat", "surveillance"));
        }
        let judgements = detect(&method("farrington-flexible", &params), &observed, None);
        judgements.iter().map(|judgement| judgement.upperbound).collect::<Vec<_>>()
    };
    assert_eq!(limits("nbPlugin", false), limits("nbPlugin", true));
    assert_ne!(limits("muan", false), limits("muan", true));
}

/// R's arlCusum, from the design file of the oracles.
#[test]
fn average_run_lengths_are_those_of_hawkins() {
    for (h, k, theta, plain, head_start) in [
        (3.0, 1.5, 1.0, 52.943_419_635_693, 47.130_140_237_924),
        (5.0, 2.5, 2.0, 61.535_100_881_024, 53.933_646_512_676),
        (4.0, 3.0, 2.4, 29.979_868_449_962, 25.718_547_746_29),
        (5.1, 1.4, 1.0, 220.845_291_623_247, 0.0),
        (6.6, 2.6, 2.0, 203.660_979_849_25, 0.0),
        (7.6, 3.8, 3.0, 215.948_396_986_178, 0.0),
    ] {
        let ours = rogerson::average_run_lengths(h, k, theta, 1).unwrap();
        near(ours.0, plain, 1e-11);
        if head_start > 0.0 {
            near(ours.1, head_start, 1e-11);
        }
    }
}

/// R's find.kh, from the design file of the oracles: R minimises a square to about five digits.
#[test]
fn k_and_h_for_run_lengths_are_those_of_r() {
    for (arla, arlr, k, h) in [
        (100.0, 3.0, 0.8247851872463, 1.864051062892),
        (100.0, 7.0, 0.4524981530794, 3.065791961626),
        (500.0, 3.0, 1.014216830958, 2.289818767866),
        (500.0, 7.0, 0.5935935060729, 3.80078906325),
    ] {
        let ours = run_length::find_kh(arla, arlr).unwrap();
        near(ours.0, k, 2e-5);
        near(ours.1, h, 2e-5);
        near(run_length::normal_run_length(ours.1, ours.0, 0.0).unwrap(), arla, 1e-9);
        near(run_length::normal_run_length(ours.1, ours.0, 2.0 * ours.0).unwrap(), arlr, 1e-9);
        // R's own h is exact for its own k.
        near(run_length::normal_run_length(h, k, 0.0).unwrap(), arla, 1e-8);
        let (arla, arlr) = (arla.to_string(), arlr.to_string());
        let chosen = method("cusum", &[("ARLa", &arla), ("ARLr", &arlr)]);
        assert_eq!(
            chosen,
            method("cusum", &[("k", &ours.0.to_string()), ("h", &ours.1.to_string())])
        );
    }
    assert_eq!(run_length::find_kh(2.0, 7.0), None);
    assert!(refusal("cusum", &[("arla", "5"), ("arlr", "70")]).contains("well below `arla`"));
    assert!(refusal("cusum", &[("arla", "500"), ("k", "1")]).contains("leave it out"));
}

/// The mistakes that the issue names, for every method: a reason where there is no answer, and
/// which one where it is plain.
#[test]
fn every_bad_input_has_its_reason() {
    let calm: Vec<Option<f64>> = (0..120).map(|t| Some(f64::from(t * 7 % 5))).collect();
    let struck = |value: Option<f64>| {
        let mut series = calm.clone();
        series[119] = value;
        series
    };
    let mut cases = 0;
    for method in all_methods() {
        for (input, reason) in [
            (struck(None), Reason::MissingValue),
            (struck(Some(-1.0)), Reason::NegativeCount),
            (struck(Some(f64::NAN)), Reason::NotFinite),
            (struck(Some(f64::INFINITY)), Reason::NotFinite),
        ] {
            let last = *detect(&method, &input, None).last().unwrap();
            let outside = last.reason == Some(Reason::NotMonitored);
            assert!(
                last.alarm.is_none() && (outside || last.reason == Some(reason)),
                "{}: {last:?}",
                method.name()
            );
            cases += 1;
        }
        let short = [Vec::new(), calm[..1].to_vec(), vec![Some(0.0)], vec![None]];
        let long = [
            vec![Some(0.0); 120],
            vec![Some(3.0); 120],
            vec![None; 120],
            vec![Some(1e15); 120],
            struck(Some(1e15)),
        ];
        for input in short.iter().chain(&long) {
            let judgements = detect(&method, input, None);
            assert_eq!(judgements.len(), input.len());
            for judgement in &judgements {
                keeps_its_promise(judgement).unwrap();
            }
            cases += 1;
        }
        // Backwards only the first point is after those before it.
        let times: Vec<f64> = (0..120).map(|t| -f64::from(t)).collect();
        let backwards = detect_series(
            &method,
            &Series { observed: &calm, times: Some(&times), ..Series::default() },
        );
        assert!(
            backwards[1..]
                .iter()
                .all(|judgement| *judgement == Judgement::no_answer(Reason::TimeNotIncreasing))
        );
        cases += 1;
    }
    println!("{cases} bad inputs, each with its reason");
}

/// Counts as they should not be.
fn any_count() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => (0..20_u32).prop_map(|count| Some(f64::from(count))),
        2 => Just(Some(0.0)),
        1 => Just(None),
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-1.0), Just(-0.0), Just(1e15),
            Just(0.1), Just(1e300), Just(f64::MAX), Just(f64::MIN_POSITIVE), any::<f64>()
        ].prop_map(Some),
    ]
}

fn any_series() -> impl Strategy<Value = Vec<Option<f64>>> {
    prop_oneof![
        6 => proptest::collection::vec(any_count(), 0..90),
        1 => (any_count(), 0..90_usize).prop_map(|(value, length)| vec![value; length]),
        1 => proptest::collection::vec((0..9_u32).prop_map(|count| Some(f64::from(count))), 0..90),
    ]
}

/// Every method, with its defaults and with a baseline that short series fill.
fn all_methods() -> Vec<Method> {
    // rogerson with its own search for limits is slow; it has a test of its own.
    let quick = Method::NAMES.iter().filter(|name| **name != "rogerson");
    let mut methods: Vec<Method> = quick.map(|name| method(name, &[])).collect();
    methods.extend([
        method("bayes", &[("b", "2"), ("w", "2"), ("freq", "7")]),
        method("rki", &[("b", "2"), ("w", "2"), ("freq", "7")]),
        method("cusum", &[("trans", "rossi"), ("m", "glm"), ("freq", "7"), ("range", "12:90")]),
        method("cusum", &[("trans", "anscombeNegBin"), ("freq", "4")]),
        method("cusum", &[("trans", "none"), ("m", "0")]),
        method(
            "rogerson",
            &[("h-values", "1,5.1,1.4,2,6.6,2.6,3,7.6,3.8"), ("freq", "3"), ("fir", "true")],
        ),
        method("glr-pois", &[("freq", "3"), ("mu0-s", "0"), ("mu0-refit", "true"), ("m", "9")]),
        method("glr-nb", &[("freq", "7"), ("m", "5"), ("mu0-refit", "true"), ("dir", "dec")]),
        method("glr-nb", &[("freq", "7"), ("theta", "0.4"), ("mu0", "2"), ("alpha", "0.2")]),
        method("glr-pois", &[("freq", "7"), ("theta", "0.4"), ("mu0-trend", "true")]),
        method("farrington", &[("freq", "9"), ("b", "4"), ("w", "2")]),
        method(
            "farrington-flexible",
            &[
                ("freq", "9"),
                ("b", "4"),
                ("w", "1"),
                ("no-periods", "4"),
                ("population-offset", "true"),
            ],
        ),
        method(
            "farrington-flexible",
            &[
                ("freq", "9"),
                ("b", "3"),
                ("w", "1"),
                ("threshold-method", "muan"),
                ("limit54", "0,4"),
            ],
        ),
        method(
            "farrington-flexible",
            &[
                ("freq", "12"),
                ("b", "1"),
                ("w", "0"),
                ("compat", "surveillance"),
                ("powertrans", "1/2"),
            ],
        ),
        method("essence-switch", &[("baseline", "11"), ("guard", "0")]),
        method("ears-c1", &[("baseline", "3"), ("min-sigma", "0.5")]),
        method("ears-c3", &[("baseline", "3"), ("min-sigma", "0.5")]),
        method("eears", &[("compat", "epitweetr")]),
        method("eears", &[("baseline", "3"), ("step", "7")]),
    ]);
    methods
}

fn keeps_its_promise(judgement: &Judgement) -> Result<(), TestCaseError> {
    let Judgement { expected, upperbound, alarm, pvalue, statistic, reason } = *judgement;
    for number in [expected, upperbound, pvalue, statistic].into_iter().flatten() {
        prop_assert!(number.is_finite());
    }
    prop_assert!(pvalue.is_none_or(|p| (0.0..=1.0).contains(&p)), "{judgement:?}");
    prop_assert!(alarm.is_some() || reason.is_some(), "{judgement:?}");
    Ok(())
}

proptest! {
    #[test]
    fn no_input_panics_or_gives_what_is_no_number(
        observed in any_series(),
        population in proptest::option::of(any_series()),
        first_day in prop_oneof![4 => -800_000..800_000_i64, 1 => any::<i64>()],
        spacing in prop_oneof![Just(1), Just(7), Just(30), Just(-3), Just(0)],
    ) {
        let days: Vec<i64> = (0..observed.len() as i64).map(|t| first_day.saturating_add(spacing * t)).collect();
        for method in all_methods() {
            for days in [None, Some(days.as_slice())] {
                let times: Option<Vec<f64>> = days.map(|days| days.iter().map(|day| *day as f64).collect());
                let series = Series { observed: &observed, population: population.as_deref(), days, times: times.as_deref() };
                let judgements = detect_series(&method, &series);
                prop_assert_eq!(judgements.len(), observed.len());
                for judgement in &judgements {
                    keeps_its_promise(judgement)?;
                }
            }
            keeps_its_promise(&judge_last(&method, &observed))?;
        }
    }

    #[test]
    fn rogerson_finds_its_limits_or_says_why(observed in any_series()) {
        for params in [&[("freq", "3")][..], &[("freq", "3"), ("fir", "true"), ("arl0", "50"), ("s", "3")]] {
            for judgement in detect(&method("rogerson", params), &observed[..observed.len().min(12)], None) {
                keeps_its_promise(&judgement)?;
            }
        }
    }

    #[test]
    fn no_text_panics_as_a_parameter(name in "[a-z0-9-]{0,12}", key in "\\PC{0,12}", value in "\\PC{0,12}") {
        for method in Method::NAMES {
            let _ = Method::parse(method, &[(key.clone(), value.clone())]);
        }
        prop_assert_eq!(Method::parse(&name, &[]).is_ok(), Method::NAMES.contains(&name.as_str()));
    }
}

#[test]
fn farrington_plug_in_alarms_on_nothing_but_zeros() {
    let mut observed = vec![Some(0.0); 272];
    observed.extend([Some(1.0), Some(5.0)]);
    for threshold in ["delta", "nbPlugin"] {
        let params = [("limit54", "0,4"), ("threshold-method", threshold)];
        let judged = detect(&method("farrington-flexible", &params), &observed, None);
        let alarms: Vec<Option<bool>> = judged[271..].iter().map(|judged| judged.alarm).collect();
        assert_eq!(alarms, [Some(false), Some(true), Some(true)], "{threshold}");
    }
}

#[test]
fn glr_epi_is_the_largest_ratio_over_changes_and_growths() {
    let counts = [2.0, 0.0, 3.0, 4.0, 7.0, 1.0, 5.0];
    let observed: Vec<Option<f64>> = counts.map(Some).to_vec();
    let params =
        [("change", "epi"), ("mu0", "2"), ("range", "1:7"), ("c-arl", "1000"), ("mtilde", "2")];
    let judged = detect(&method("glr-pois", &params), &observed, None);
    assert_eq!(judged[0].statistic, Some(0.0));
    for (n, judged) in judged.iter().enumerate().skip(1) {
        let ratio = |change: usize, lambda: f64| -> f64 {
            let of = |t: usize| {
                let mean = 2.0 + lambda * if t == 0 { 0.0 } else { counts[t - 1] };
                counts[t] * libm::log(mean / 2.0) - (mean - 2.0)
            };
            (change..=n).map(of).sum()
        };
        let best = (0..n)
            .flat_map(|change| (0..40_000).map(move |nth| (change, f64::from(nth) * 1e-4)))
            .map(|(change, lambda)| ratio(change, lambda))
            .fold(0.0, f64::max);
        let statistic = judged.statistic.unwrap();
        assert!((statistic - best).abs() < 1e-6, "{n}: {statistic} {best}");
    }
}

#[test]
fn nb_predictive_answers_hours_from_the_same_hour_of_other_days() {
    let of_hour = |t: usize| if t % 24 == 20 { 300.0 } else { 20.0 + (t * 7 % 5) as f64 };
    let mut observed: Vec<Option<f64>> = (0..24 * 20).map(|t| Some(of_hour(t))).collect();
    let hourly = method("nb-predictive", &[("every", "hour")]);
    let judged = detect(&hourly, &observed, None);
    assert!(judged.iter().all(|judged| judged.alarm != Some(true)));
    let night = 24 * 19 + 3;
    observed[night] = Some(300.0);
    assert_eq!(detect(&hourly, &observed, None)[night].alarm, Some(true));
}

#[test]
fn nb_predictive_of_weeks_answers_from_eight_on() {
    let mut observed = vec![Some(3.0); 30];
    observed[29] = Some(40.0);
    let judged = detect(&method("nb-predictive", &[("every", "week")]), &observed, None);
    assert_eq!(judged[11].reason, Some(Reason::BaselineTooShort));
    assert_eq!((judged[12].alarm, judged[29].alarm), (Some(false), Some(true)));
}
