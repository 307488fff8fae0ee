-- Numbers of others to compare with: of a series and region, the value of the period that begins on a day.
CREATE TABLE reference (
    series TEXT NOT NULL,
    region TEXT NOT NULL,
    date INTEGER NOT NULL,
    value REAL NOT NULL,
    unit TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (series, region, date)
) STRICT, WITHOUT ROWID;
