//! Table exports, row by row; memory does not grow with the table.

use std::io::Write;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::Local;
use crate::error::WarehouseError;
use crate::lines::{Lines, Value};
use crate::port::Export;
use crate::tables::{Table, units_from};

impl Local {
    pub(super) fn write_out(
        &self,
        export: &Export,
        out: &mut dyn Write,
    ) -> Result<u64, WarehouseError> {
        let table = Table::named(&export.table)
            .ok_or_else(|| WarehouseError::UnknownTable { table: export.table.clone() })?;
        let from = export.from.map_or(i64::MIN, |from| units_from(from, table.units_per_second));
        let to = export.to.map(|to| units_from(to, table.units_per_second));
        self.ask(|connection| {
            let failed = |source| self.failed("export from", source);
            let columns = columns(connection, table.name).map_err(failed)?;
            let order =
                (1..=columns.len()).map(|column| column.to_string()).collect::<Vec<_>>().join(", ");
            let (name, time) = (table.name, table.time);
            let sql = format!(
                "SELECT * FROM {name} WHERE {time} >= ?1 AND (?2 IS NULL OR {time} < \
                ?2) ORDER BY {order}"
            );
            let mut statement = connection.prepare(&sql).map_err(failed)?;
            let mut rows = statement.query(params![from, to]).map_err(failed)?;
            let mut lines = Lines::new(export.format, table, columns, out);
            lines.header()?;
            let mut written = 0;
            while let Some(row) = rows.next().map_err(failed)? {
                lines.row(|column| row.get_ref(column).map(value).map_err(failed))?;
                written += 1;
            }
            lines.flush()?;
            Ok(written)
        })
    }
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    Ok(statement.column_names().into_iter().map(str::to_owned).collect())
}

fn value(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Text(bytes),
    }
}
