use std::sync::atomic::{AtomicU32, Ordering};

use super::{ClickHouse, ClickHouseSettings};
use crate::contract::{self, Kept};
use crate::error::WarehouseError;
use crate::port::Warehouse;

#[path = "../../../../tests/parts/clickhouse.rs"]
#[expect(dead_code, reason = "the tests of faults start engines of their own")]
mod engine;

/// Databases of one test, dropped with it.
struct Databases {
    settings: ClickHouseSettings,
}

impl Drop for Databases {
    fn drop(&mut self) {
        let drop = |database: &str| sql(&self.settings, &format!("DROP DATABASE IF EXISTS `{database}` SYNC"));
        drop(&self.settings.public_database).and_then(|()| drop(&self.settings.database)).expect("drop the databases");
    }
}

/// Settings for databases that nobody else has.
fn settings(url: &str) -> ClickHouseSettings {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let database = format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let user = std::env::var("CLICKHOUSE_USER").unwrap_or_else(|_| "default".to_owned());
    let password = std::env::var("CLICKHOUSE_PASSWORD").unwrap_or_default();
    ClickHouseSettings {
        url: url.to_owned(),
        public_database: format!("{database}_public"),
        database,
        user,
        password,
        ..ClickHouseSettings::default()
    }
}

/// A statement outside the databases of the test.
fn sql(settings: &ClickHouseSettings, statement: &str) -> Result<(), WarehouseError> {
    let warehouse = ClickHouse::connect(ClickHouseSettings { database: "system".to_owned(), ..settings.clone() })?;
    warehouse.statement(statement.to_owned())
}

fn fresh(url: &str) -> Kept<ClickHouse, Databases> {
    let settings = settings(url);
    let warehouse = ClickHouse::connect(settings.clone()).unwrap();
    warehouse.migrate().unwrap();
    Kept::new(warehouse, Databases { settings })
}

#[test]
fn contract() {
    let Some(url) = engine::url() else { return };
    contract::holds(&|| Box::new(fresh(&url)) as Box<dyn Warehouse>);
}
