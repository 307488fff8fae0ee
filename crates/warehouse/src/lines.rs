//! CSV and NDJSON writer for rows of any store; memory does not grow with the table.
//!
//! Knows values and what [`Table`] says of columns; knows no store.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use crate::error::WarehouseError;
use crate::port::Format;
use crate::tables::Table;

/// A value as the store gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    #[cfg_attr(
        not(feature = "clickhouse"),
        expect(dead_code, reason = "SQLite has no unsigned numbers")
    )]
    Unsigned(u64),
    Real(f64),
    Text(&'a [u8]),
}

/// Error of the output, with its kind: a closed pipe and a full disk are recognised by it.
fn written(error: csv::Error) -> io::Error {
    let shown = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other(shown),
    }
}

/// Writes rows of one table in one format.
pub(crate) enum Lines<'a> {
    Csv { columns: Vec<Column>, out: Box<csv::Writer<&'a mut dyn Write>> },
    Ndjson { columns: Vec<Column>, out: BufWriter<&'a mut dyn Write> },
}

pub(crate) struct Column {
    name: String,
    guarded: bool,
    json: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(
        format: Format,
        table: &Table,
        names: Vec<String>,
        out: &'a mut dyn Write,
    ) -> Lines<'a> {
        let columns = names
            .into_iter()
            .map(|name| Column {
                guarded: table.guarded.contains(&name.as_str()),
                json: table.json.contains(&name.as_str()),
                name,
            })
            .collect();
        match format {
            Format::Csv => Lines::Csv {
                columns,
                out: Box::new(
                    csv::WriterBuilder::new()
                        .terminator(csv::Terminator::Any(b'\n'))
                        .from_writer(out),
                ),
            },
            Format::Ndjson => Lines::Ndjson { columns, out: BufWriter::new(out) },
        }
    }

    pub(crate) fn header(&mut self) -> io::Result<()> {
        match self {
            Lines::Csv { columns, out } => {
                out.write_record(columns.iter().map(|column| &column.name)).map_err(written)
            }
            Lines::Ndjson { .. } => Ok(()),
        }
    }

    pub(crate) fn row<'v>(
        &mut self,
        value: impl Fn(usize) -> Result<Value<'v>, WarehouseError>,
    ) -> Result<(), WarehouseError> {
        match self {
            Lines::Csv { columns, out } => {
                for (at, column) in columns.iter().enumerate() {
                    out.write_field(field(value(at)?, column.guarded).as_ref()).map_err(written)?;
                }
                out.write_record(None::<&[u8]>).map_err(written)?;
            }
            Lines::Ndjson { columns, out } => {
                for (at, column) in columns.iter().enumerate() {
                    let before = if at == 0 { '{' } else { ',' };
                    let (name, value) = (
                        serde_json::Value::from(column.name.as_str()),
                        json(value(at)?, column.json),
                    );
                    write!(out, "{before}{name}:{value}")?;
                }
                out.write_all(b"}\n")?;
            }
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Lines::Csv { out, .. } => out.flush(),
            Lines::Ndjson { out, .. } => out.flush(),
        }
    }
}

fn field(value: Value<'_>, guarded: bool) -> Cow<'_, [u8]> {
    match value {
        Value::Null => Cow::Borrowed(b""),
        Value::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        Value::Unsigned(number) => Cow::Owned(number.to_string().into_bytes()),
        Value::Real(number) => Cow::Owned(format!("{number:?}").into_bytes()),
        Value::Text(text)
            if guarded
                && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')) =>
        {
            Cow::Owned([b"'", text].concat())
        }
        Value::Text(bytes) => Cow::Borrowed(bytes),
    }
}

fn json(value: Value<'_>, nested: bool) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => number.into(),
        Value::Unsigned(number) => number.into(),
        Value::Real(number) => number.into(),
        Value::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let parsed = if nested { serde_json::from_str(&text).ok() } else { None };
            parsed.unwrap_or_else(|| text.into())
        }
    }
}
