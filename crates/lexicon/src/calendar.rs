//! Dates in topic files: review dates and campaign days.
//!
//! Knows the calendar and what is written; asks no clock what day it is.

use std::fmt;

use record::time::{self, Micros};

/// A day of the Gregorian calendar; the caller compares it with today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    day: MonthDay,
}

/// A day of every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonthDay {
    month: u8,
    day: u8,
}

/// Days of every year, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days {
    pub first: MonthDay,
    /// Not before `first`: what runs over new year is two of these.
    pub last: MonthDay,
}

impl Date {
    /// Of `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Date> {
        let (year, day) = text.split_once('-')?;
        let date = Date { year: digits(year, 4)?, day: MonthDay::parse(day)? };
        let leap = date.year.is_multiple_of(4)
            && (!date.year.is_multiple_of(100) || date.year.is_multiple_of(400));
        (leap || date.day != MonthDay { month: 2, day: 29 }).then_some(date)
    }

    /// The day, in UTC, on which an instant falls; none beyond the years of four digits.
    pub fn of(instant: Micros) -> Option<Date> {
        Date::parse(time::display(instant).split('T').next()?)
    }

    /// Without its year.
    pub fn month_day(self) -> MonthDay {
        self.day
    }
}

impl MonthDay {
    /// Of `MM-DD`.
    pub fn parse(text: &str) -> Option<MonthDay> {
        let (month, day) = text.split_once('-')?;
        let (month, day) = (digits(month, 2)? as u8, digits(day, 2)? as u8);
        let days = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&day).then_some(MonthDay { month, day })
    }
}

impl Days {
    /// Of `MM-DD` or `MM-DD/MM-DD`.
    pub fn parse(text: &str) -> Option<Days> {
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        let days = Days { first: MonthDay::parse(first)?, last: MonthDay::parse(last)? };
        (days.first <= days.last).then_some(days)
    }

    /// Whether it is at most about a fortnight: months are no occasion to post.
    pub fn is_short(&self) -> bool {
        let months = u16::from(self.last.month - self.first.month);
        31 * months + u16::from(self.last.day) < 15 + u16::from(self.first.day)
    }

    pub fn contain(&self, day: MonthDay) -> bool {
        (self.first..=self.last).contains(&day)
    }
}

fn digits(text: &str, length: usize) -> Option<u16> {
    let right = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{}", self.year, self.day)
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}/{}", self.first, self.last),
        }
    }
}
