use super::Metrics;

#[test]
fn shows_counters_and_gauges_by_name_and_label() {
    let metrics = Metrics::default();
    let posts = metrics.counter(
        "pumphandle_posts_total",
        "Posts read.",
        &[("feed", "blue\"sky\\\n"), ("a", "1")],
    );
    posts.add(2);
    metrics
        .counter("pumphandle_posts_total", "Posts read.", &[("a", "1"), ("feed", "blue\"sky\\\n")])
        .add(3);
    posts.raise_to(4);
    metrics.gauge("pumphandle_lag_seconds", "Behind,\nin seconds.", &[]).set(1.5);
    metrics.gauge("pumphandle_odd", "Odd.", &[("of", "nan")]).set(f64::NAN);
    metrics.gauge("pumphandle_odd", "Odd.", &[("of", "infinity")]).set(f64::NEG_INFINITY);
    assert_eq!(
        metrics.render(),
        "# HELP pumphandle_lag_seconds Behind,\\nin seconds.\n\
         # TYPE pumphandle_lag_seconds gauge\n\
         pumphandle_lag_seconds 1.5\n\
         # HELP pumphandle_odd Odd.\n\
         # TYPE pumphandle_odd gauge\n\
         pumphandle_odd{of=\"infinity\"} -Inf\n\
         pumphandle_odd{of=\"nan\"} NaN\n\
         # HELP pumphandle_posts_total Posts read.\n\
         # TYPE pumphandle_posts_total counter\n\
         pumphandle_posts_total{a=\"1\",feed=\"blue\\\"sky\\\\\\n\"} 5\n\
         # HELP pumphandle_metrics_hidden Series asked for beyond the 2000 that a metric may \
         have.\n\
         # TYPE pumphandle_metrics_hidden gauge\n\
         pumphandle_metrics_hidden 0\n"
    );
}

#[test]
fn a_family_has_a_bound() {
    let metrics = Metrics::default();
    for number in 0..2_010 {
        metrics
            .counter("pumphandle_many_total", "Many.", &[("number", &number.to_string())])
            .add(1);
    }
    let text = metrics.render();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("pumphandle_many_total{")).count(),
        2_000
    );
    assert!(text.ends_with("pumphandle_metrics_hidden 10\n"));
}

#[test]
fn unknown_gauge_is_not_shown() {
    let metrics = Metrics::default();
    let lag = metrics.gauge("pumphandle_lag_seconds", "Behind.", &[]);
    let shown = || metrics.render().contains("pumphandle_lag_seconds");
    assert!(!shown());
    lag.set(0.0);
    assert!(metrics.render().contains("\npumphandle_lag_seconds 0\n"));
    lag.clear();
    assert!(!shown());
    lag.set(f64::NAN);
    assert!(
        metrics.render().contains("\npumphandle_lag_seconds NaN\n"),
        "not a number is not unknown"
    );
}

#[test]
fn collectors_run_before_each_render() {
    let metrics = std::sync::Arc::new(Metrics::default());
    let weak = std::sync::Arc::downgrade(&metrics);
    metrics.before_render(move || {
        let Some(metrics) = weak.upgrade() else { return };
        metrics.counter("pumphandle_scrapes_total", "Scrapes.", &[]).add(1);
    });
    assert!(metrics.render().contains("pumphandle_scrapes_total 1"));
    assert!(metrics.render().contains("pumphandle_scrapes_total 2"));
}
