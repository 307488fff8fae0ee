use std::sync::Mutex;

use expect_test::{Expect, expect};

use super::{Reference, load_reference};
use crate::error::WarehouseError;
use crate::port::{Landing, Progress};

/// Takes what is loaded.
#[derive(Default)]
struct Taken(Mutex<Vec<Reference>>);

impl Landing for Taken {
    fn write(&self, _: &[record::Record], _: &[Progress]) -> Result<(), WarehouseError> {
        Ok(())
    }
    fn progress(&self) -> Result<Vec<Progress>, WarehouseError> {
        Ok(Vec::new())
    }
    fn write_reference(&self, rows: &[Reference]) -> Result<(), WarehouseError> {
        self.0.lock().unwrap().extend_from_slice(rows);
        Ok(())
    }
}

fn known(region: &str) -> Result<(), String> {
    if region == "EL" {
        Err("there is no region `EL`; did you mean `GR`?".to_owned())
    } else {
        Ok(())
    }
}

fn check(text: &str, expected: Expect) {
    let taken = Taken::default();
    let said = match load_reference(&taken, text.as_bytes(), &known) {
        Ok(count) => {
            let rows: Vec<String> =
                taken.0.lock().unwrap().iter().map(|row| format!("{row:?}\n")).collect();
            assert_eq!(rows.len() as u64, count);
            rows.concat()
        }
        Err(error) => {
            assert!(taken.0.lock().unwrap().is_empty());
            error.to_string()
        }
    };
    expected.assert_eq(&said);
}

#[test]
fn columns_in_any_order_quoted_spaced_and_with_a_mark_of_byte_order() {
    check(
        "\u{feff}region, date,series,value,source\r\nde,2026-01-05,\"cases, lab\", \
            12.5,RKI\r\nlang:de,2026-01-12,x,-3,\r\n",
        expect![[r#"
            Reference { series: "cases, lab", region: "DE", date: 1767571200000000, value: 12.5, unit: "", source: "RKI" }
            Reference { series: "x", region: "lang:de", date: 1768176000000000, value: -3.0, unit: "", source: "" }
        "#]],
    );
}

#[test]
fn every_problem_is_named_with_its_line_and_field() {
    check(
        "series,region,date,value\na,DE,2026-01-05,1\na,DE,2026-1-5,1\na,DE,2026-02-30,1\na,DE,1899-01-01,1\n,DE,2026-01-05,1\n\
         a,DE,2026-01-05,2\na,DE,2026-01-12,many\na,DE,2026-01-12,inf\na,DE\n\"a\nb\",DE,2026-01-19,1\na,,2026-01-26,1\n",
        expect![[r#"
            nothing was loaded: 
              line 3, `date`: `2026-1-5` is no date like 2026-01-05, of 2000 to 2099
              line 4, `date`: `2026-02-30` is no date like 2026-01-05, of 2000 to 2099
              line 5, `date`: `1899-01-01` is no date like 2026-01-05, of 2000 to 2099
              line 6, `series`: is empty
              line 7, `date`: line 2 has a value of the same series, region and date
              line 8, `value`: `many` is no number
              line 9, `value`: `inf` is no number
              line 10, `series`: 2 fields instead of 4
              line 13, `region`: is empty"#]],
    );
}

#[test]
fn a_header_is_needed_and_its_names_are_known() {
    check(
        "series,regoin,date,value,date\n",
        expect![[r#"
            nothing was loaded: 
              line 1, `header`: unknown column `regoin`; the columns are series, region, date, value, unit, source
              line 1, `date`: stands in the header twice
              line 1, `region`: is missing in the header"#]],
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let error = load_reference(
        &Taken::default(),
        b"series,region,date,value\n\xff,DE,2026-01-05,1\n".as_slice(),
        &known,
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("failed to read the reference file"), "{error}");
}

#[test]
fn lines_are_those_of_an_editor_and_regions_are_known() {
    let wanted = || {
        expect![[r#"
            nothing was loaded: 
              line 3, `region`: there is no region `EL`; did you mean `GR`?
              line 6, `value`: `many` is no number"#]]
    };
    let text = "series,region,date,value\na,DE,2026-01-05,1\na,el,2026-01-05,1\n\na,DE,2026-01-12,1\na,DE,2026-01-19,many\n";
    check(text, wanted());
    check(&text.replace('\n', "\r\n"), wanted());
}
