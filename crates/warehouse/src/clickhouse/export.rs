//! Table exports, streamed row by row; memory does not grow with the table.

use std::io::Write;
use std::str;

use clickhouse::Row;
use serde::Deserialize;

use super::ClickHouse;
use super::ask::instant;
use crate::error::WarehouseError;
use crate::lines::{Lines, Value};
use crate::port::Export;
use crate::tables::{Table, units_from};

#[derive(Debug, Row, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl ClickHouse {
    pub(super) fn write_out(
        &self,
        export: &Export,
        out: &mut dyn Write,
    ) -> Result<u64, WarehouseError> {
        let table = Table::named(&export.table)
            .ok_or_else(|| WarehouseError::UnknownTable { table: export.table.clone() })?;
        let columns = self.columns(table)?;
        let sql = question(table, &columns, export);
        let client = self.client();
        let mut answer = Some(self.run("export from", async move {
            client.query_raw(&sql).fetch_bytes("TabSeparated")
        })?);
        let kinds: Vec<Kind> = columns.iter().map(|column| Kind::of(&column.kind)).collect();
        let mut lines = Lines::new(
            export.format,
            table,
            columns.into_iter().map(|column| column.name).collect(),
            out,
        );
        lines.header()?;
        let mut written = 0;
        let mut rest: Vec<u8> = Vec::new();
        // The limit of time is each piece's, not the table's.
        while let Some(mut bytes) = answer.take() {
            let (bytes, piece) = self.run("export from", async move {
                let piece = bytes.next().await?;
                Ok((bytes, piece))
            })?;
            let Some(piece) = piece else { break };
            answer = Some(bytes);
            rest.extend_from_slice(&piece);
            let mut from = 0;
            while let Some(length) = rest[from..].iter().position(|byte| *byte == b'\n') {
                self.line(&rest[from..from + length], &kinds, &mut lines)?;
                written += 1;
                from += length + 1;
            }
            rest.drain(..from);
        }
        lines.flush()?;
        if rest.is_empty() { Ok(written) } else { Err(self.misread("the last row was cut")) }
    }

    /// The columns that `SELECT *` shows.
    fn columns(&self, table: &'static Table) -> Result<Vec<Column>, WarehouseError> {
        let client = self.client();
        let sql =
            "SELECT ?fields FROM system.columns WHERE database = currentDatabase() AND table \
            = ? AND default_kind != 'MATERIALIZED'
                   ORDER BY position";
        let columns: Vec<Column> = self.run("export from", async move {
            client.query(sql).bind(table.name).fetch_all().await
        })?;
        if columns.is_empty() {
            return Err(WarehouseError::OlderSchema {
                place: self.place.clone(),
                found: 0,
                known: super::schema::known(),
            });
        }
        // Of a clock, not of the log: it isn't a column in every implementation.
        Ok(columns.into_iter().filter(|column| column.name != "landed_at").collect())
    }

    fn line(
        &self,
        line: &[u8],
        kinds: &[Kind],
        lines: &mut Lines<'_>,
    ) -> Result<(), WarehouseError> {
        let fields: Vec<Option<Vec<u8>>> =
            line.split(|byte| *byte == b'\t').map(unescaped).collect();
        if fields.len() != kinds.len() {
            return Err(self.misread(format!(
                "{} fields instead of {}",
                fields.len(),
                kinds.len()
            )));
        }
        lines.row(|at| {
            let Some(field) = &fields[at] else { return Ok(Value::Null) };
            kinds[at].read(field).ok_or_else(|| {
                self.misread(format!("`{}` is no number", String::from_utf8_lossy(field)))
            })
        })
    }
}

/// Sorted by all columns, NULL first, instants as unix seconds.
fn question(table: &Table, columns: &[Column], export: &Export) -> String {
    let quoted = |name: &str| format!("`{name}`");
    let midnight_or = |column: &Column| match column.kind.as_str() {
        "Date" => format!("toDateTime({}, 'UTC')", quoted(&column.name)),
        _ => quoted(&column.name),
    };
    let shown = |column: &Column| match column.kind.as_str() {
        "Date" => format!("toUnixTimestamp({})", midnight_or(column)),
        kind if kind.starts_with("DateTime") => {
            format!("toUnixTimestamp({})", quoted(&column.name))
        }
        _ => quoted(&column.name),
    };
    let select: Vec<String> = columns.iter().map(shown).collect();
    let order: Vec<String> =
        columns.iter().map(|column| format!("{} NULLS FIRST", quoted(&column.name))).collect();
    let bound = |at, sign: &str| {
        let time = columns.iter().find(|column| column.name == table.time)?;
        Some(match table.units_per_second {
            1 => format!("{} {sign} toDateTime({}, 'UTC')", midnight_or(time), instant(at)),
            units => format!("{} {sign} {}", quoted(&time.name), units_from(at, units)),
        })
    };
    let from = export.from.and_then(|from| bound(from, ">="));
    // What a DateTime can't hold comes after every row.
    let to = export
        .to
        .filter(|to| table.units_per_second != 1 || instant(*to) != u32::MAX)
        .and_then(|to| bound(to, "<"));
    let conditions: Vec<String> = [from, to].into_iter().flatten().collect();
    let conditions = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let latest = if table.name.starts_with("v_") { "" } else { "FINAL" };
    format!(
        "SELECT {} FROM {} {latest} WHERE {conditions} ORDER BY {}",
        select.join(", "),
        table.name,
        order.join(", ")
    )
}

/// What a field of a column is read as.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Whole,
    Real,
    Text,
}

impl Kind {
    fn of(written: &str) -> Kind {
        let inner = |text: &str, name: &str| {
            text.strip_prefix(name).and_then(|rest| rest.strip_suffix(')')).map(str::to_owned)
        };
        let plain = inner(written, "LowCardinality(").unwrap_or_else(|| written.to_owned());
        let plain = inner(&plain, "Nullable(").unwrap_or(plain);
        match plain.as_str() {
            plain if plain.starts_with("Float") => Kind::Real,
            plain
                if plain.starts_with("UInt")
                    || plain.starts_with("Int")
                    || plain.starts_with("Date") =>
            {
                Kind::Whole
            }
            _ => Kind::Text,
        }
    }

    fn read(self, field: &[u8]) -> Option<Value<'_>> {
        let text = || str::from_utf8(field).ok();
        match self {
            Kind::Text => Some(Value::Text(field)),
            Kind::Real => text()?.parse().ok().map(Value::Real),
            Kind::Whole => {
                let text = text()?;
                text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Unsigned)).ok()
            }
        }
    }
}

/// Undoes the escapes of TabSeparated; none is NULL.
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => *other,
                None => b'\\',
            },
            byte => *byte,
        });
    }
    Some(plain)
}
