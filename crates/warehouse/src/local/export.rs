//! Tables out, row by row: memory doesn't grow with the table.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::{Local, units_from};
use crate::error::WarehouseError;
use crate::port::{Export, Format};
use crate::tables::Table;

impl Local {
    pub(super) fn write_out(&self, export: &Export, out: &mut dyn Write) -> Result<u64, WarehouseError> {
        let table = Table::named(&export.table).ok_or_else(|| WarehouseError::UnknownTable { table: export.table.clone() })?;
        let from = export.from.map_or(i64::MIN, |from| units_from(from, table.units_per_second));
        let to = export.to.map(|to| units_from(to, table.units_per_second));
        self.ask(|connection| {
            let failed = |source| self.failed("export from", source);
            let columns = columns(connection, table.name).map_err(failed)?;
            let order = (1..=columns.len()).map(|column| column.to_string()).collect::<Vec<_>>().join(", ");
            let (name, time) = (table.name, table.time);
            let sql = format!("SELECT * FROM {name} WHERE {time} >= ?1 AND (?2 IS NULL OR {time} < ?2) ORDER BY {order}");
            let mut statement = connection.prepare(&sql).map_err(failed)?;
            let mut rows = statement.query(params![from, to]).map_err(failed)?;
            let mut lines = Lines::new(export.format, table, columns, out);
            lines.header()?;
            let mut written = 0;
            while let Some(row) = rows.next().map_err(failed)? {
                lines.row(|column| row.get_ref(column).map_err(failed))?;
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

/// Writes rows of one table in one format.
enum Lines<'a> {
    Csv { columns: Vec<Column>, out: Box<csv::Writer<&'a mut dyn Write>> },
    Ndjson { columns: Vec<Column>, out: BufWriter<&'a mut dyn Write> },
}

struct Column {
    name: String,
    guarded: bool,
    json: bool,
}

impl<'a> Lines<'a> {
    fn new(format: Format, table: &Table, names: Vec<String>, out: &'a mut dyn Write) -> Lines<'a> {
        let columns = names
            .into_iter()
            .map(|name| Column { guarded: table.guarded.contains(&name.as_str()), json: table.json.contains(&name.as_str()), name })
            .collect();
        match format {
            Format::Csv => {
                Lines::Csv { columns, out: Box::new(csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(out)) }
            }
            Format::Ndjson => Lines::Ndjson { columns, out: BufWriter::new(out) },
        }
    }

    fn header(&mut self) -> io::Result<()> {
        match self {
            Lines::Csv { columns, out } => out.write_record(columns.iter().map(|column| &column.name)).map_err(io::Error::other),
            Lines::Ndjson { .. } => Ok(()),
        }
    }

    fn row<'v>(&mut self, value: impl Fn(usize) -> Result<ValueRef<'v>, WarehouseError>) -> Result<(), WarehouseError> {
        match self {
            Lines::Csv { columns, out } => {
                for (at, column) in columns.iter().enumerate() {
                    out.write_field(field(value(at)?, column.guarded).as_ref()).map_err(io::Error::other)?;
                }
                out.write_record(None::<&[u8]>).map_err(io::Error::other)?;
            }
            Lines::Ndjson { columns, out } => {
                for (at, column) in columns.iter().enumerate() {
                    let before = if at == 0 { '{' } else { ',' };
                    let (name, value) = (serde_json::Value::from(column.name.as_str()), json(value(at)?, column.json));
                    write!(out, "{before}{name}:{value}")?;
                }
                out.write_all(b"}\n")?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Lines::Csv { out, .. } => out.flush(),
            Lines::Ndjson { out, .. } => out.flush(),
        }
    }
}

fn field(value: ValueRef<'_>, guarded: bool) -> Cow<'_, [u8]> {
    match value {
        ValueRef::Null => Cow::Borrowed(b""),
        ValueRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        ValueRef::Real(number) => Cow::Owned(format!("{number:?}").into_bytes()),
        ValueRef::Text(text) if guarded && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')) => {
            Cow::Owned([b"'", text].concat())
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cow::Borrowed(bytes),
    }
}

fn json(value: ValueRef<'_>, nested: bool) -> serde_json::Value {
    match value {
        ValueRef::Null => serde_json::Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let parsed = if nested { serde_json::from_str(&text).ok() } else { None };
            parsed.unwrap_or_else(|| text.into())
        }
    }
}
