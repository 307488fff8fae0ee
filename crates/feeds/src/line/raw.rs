//! Raw lines: all fields of the three schemas, borrowed from the line, not validated.
//!
//! Other fields are skipped unread. A field of a type that we didn't expect is marked, not refused:
//! whether that matters depends on what the line turns out to be. Of a key that is twice the last
//! value holds, as everywhere with JSON.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

/// No more elements than this of any list are stored; the rest is counted.
pub(super) const ELEMENTS_MAX: usize = 256;

/// A value that should be a `T`.
#[derive(Debug, Default)]
pub(super) enum Maybe<T> {
    /// Missing or null.
    #[default]
    Absent,
    /// Of another type.
    Wrong,
    Here(T),
}

impl<T> Maybe<T> {
    pub(super) fn here(self) -> Option<T> {
        match self {
            Maybe::Here(value) => Some(value),
            Maybe::Absent | Maybe::Wrong => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Maybe::Absent)
    }
}

pub(super) type Text<'a> = Maybe<Cow<'a, str>>;

impl Text<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Maybe::Here(here) if here == text)
    }
}

/// The strings of a list.
#[derive(Debug, Default)]
pub(super) struct List<'a> {
    pub(super) items: Vec<Cow<'a, str>>,
    /// Elements beyond the bound.
    pub(super) dropped: u32,
    /// Whether an element was neither a string nor null.
    pub(super) wrong: bool,
}

/// The hashtags among a post's facets.
#[derive(Debug, Default)]
pub(super) struct Facets<'a> {
    pub(super) tags: Vec<Cow<'a, str>>,
    pub(super) dropped: u32,
}

/// What is stored of an object: `read` takes the value of a known key, or returns false and the
/// value is skipped.
pub(super) trait Fields<'de>: Default {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($key:literal $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default)]
            pub(super) struct $name<'a> {
                $(pub(super) $field: $type,)*
            }

            impl<'a> Fields<'a> for $name<'a> {
                fn read<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                    match key {
                        $($key => self.$field = map.next_value()?,)*
                        _ => return Ok(false),
                    }
                    Ok(true)
                }
            }
        )*
    };
}

objects! {
    /// The top of a line, whatever its schema.
    Top {
        "region" region: Text<'a>,
        // ours
        "id" id: Text<'a>,
        "author" author: Text<'a>,
        "created_at" created_at: Written<'a>,
        "arrived" arrived: Written<'a>,
        "text" text: Text<'a>,
        "tags" tags: Maybe<List<'a>>,
        "langs" langs: Maybe<List<'a>>,
        "source" source: Text<'a>,
        "op" op: Text<'a>,
        "url" url: Text<'a>,
        "lat" lat: Written<'a>,
        "lon" lon: Written<'a>,
        "place" place: Text<'a>,
        "profile" profile: Text<'a>,
        // Jetstream, both wires
        "did" did: Text<'a>,
        "account" account: Maybe<Account<'a>>,
        // Jetstream v1
        "time_us" time_us: Written<'a>,
        "cursor" cursor: Written<'a>,
        "kind" kind: Text<'a>,
        "commit" commit: Maybe<Commit<'a>>,
        // Jetstream v2
        "$type" kind_name: Text<'a>,
        "payload" payload: Maybe<Box<Top<'a>>>,
        "error" error: Text<'a>,
        "name" name: Text<'a>,
        "seq" seq: Written<'a>,
        "time" time: Written<'a>,
        "operation" operation: Text<'a>,
        "collection" collection: Text<'a>,
        "rkey" rkey: Text<'a>,
        "record" record: Maybe<Record<'a>>,
        "active" active: Truth,
        "status" status: Text<'a>,
    }
    Commit {
        "operation" operation: Text<'a>,
        "collection" collection: Text<'a>,
        "rkey" rkey: Text<'a>,
        "record" record: Maybe<Record<'a>>,
    }
    Account {
        "active" active: Truth,
        "status" status: Text<'a>,
    }
    /// A record of `app.bsky.feed.post`.
    Record {
        "createdAt" created_at: Written<'a>,
        "text" text: Text<'a>,
        "langs" langs: Maybe<List<'a>>,
        "tags" tags: Maybe<List<'a>>,
        "facets" facets: Maybe<Facets<'a>>,
        "embed" embed: Maybe<Embed<'a>>,
    }
    /// A link card, or one next to a quoted post.
    Embed {
        "external" external: Maybe<External<'a>>,
        "media" media: Maybe<Media<'a>>,
    }
    Media {
        "external" external: Maybe<External<'a>>,
    }
    External {
        "uri" uri: Text<'a>,
    }
    Facet {
        "features" features: Maybe<Features<'a>>,
    }
    Feature {
        "$type" kind_name: Text<'a>,
        "tag" tag: Text<'a>,
    }
}

impl<'de, T: Fields<'de>> Fields<'de> for Box<T> {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        (**self).read(key, map)
    }
}

/// An instant as written, a string or a number: digits of numbers would not survive a float.
#[derive(Debug, Default)]
pub(super) enum Written<'a> {
    #[default]
    Absent,
    /// Neither a string nor a number.
    Wrong,
    Number(Cow<'a, str>),
    String(Cow<'a, str>),
}

/// A truth value; anything else is as good as none.
#[derive(Debug, Default)]
pub(super) struct Truth(pub(super) Option<bool>);

/// The hashtags of one facet.
#[derive(Debug, Default)]
pub(super) struct Features<'a> {
    tags: Vec<Cow<'a, str>>,
    dropped: u32,
}

const TAG_FEATURE: &str = "app.bsky.richtext.facet#tag";

// --- reading ---

/// Values that are none of what was expected.
macro_rules! otherwise {
    ($value:expr; $($visit:ident $type:ty,)*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok($value)
        })*
    };
}

macro_rules! otherwise_skip {
    (map $value:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
    (seq $value:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

macro_rules! anything {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
    };
}

/// A key, without a copy unless it is escaped.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Name<'de>;
            anything!();

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reading)
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Text<'de>;
            anything!();
            otherwise! { Maybe::Wrong; visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, }
            otherwise_skip!(map Maybe::Wrong);
            otherwise_skip!(seq Maybe::Wrong);

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Maybe::Absent)
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Maybe::Here(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Maybe::Here(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Truth, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Truth;
            anything!();
            otherwise! { Truth(None); visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str, }
            otherwise_skip!(map Truth(None));
            otherwise_skip!(seq Truth(None));

            fn visit_unit<E: Error>(self) -> Result<Truth, E> {
                Ok(Truth(None))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Truth, E> {
                Ok(Truth(Some(value)))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Written<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written<'a>, D::Error> {
        let value = LazyValue::deserialize(deserializer)?;
        // The raw text borrows from the value, so it is copied; instants are short.
        let raw = value.as_raw_str();
        Ok(match raw.as_bytes().first() {
            None | Some(b'n') => Written::Absent,
            Some(b'"') => match raw[1..].strip_suffix('"') {
                Some(plain) if !plain.contains('\\') => {
                    Written::String(Cow::Owned(plain.to_owned()))
                }
                _ => match sonic_rs::from_str::<String>(raw) {
                    Ok(text) => Written::String(Cow::Owned(text)),
                    Err(_) => Written::Wrong,
                },
            },
            Some(b'-' | b'0'..=b'9') => Written::Number(Cow::Owned(raw.to_owned())),
            Some(_) => Written::Wrong,
        })
    }
}

/// Reads an object into fields that stand already where they will be used: the top of a line is
/// large.
pub(super) struct Fill<'x, T>(pub(super) &'x mut T);

/// What stood where an object should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Object,
    Null,
    Other,
}

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for Fill<'_, T> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for Fill<'_, T> {
    type Value = Found;
    anything!();
    otherwise! { Found::Other; visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str, }
    otherwise_skip!(seq Found::Other);

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while let Some(Name(key)) = map.next_key()? {
            if !self.0.read(&key, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Found::Object)
    }
}

impl<'de, T: Fields<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Maybe<T>, D::Error> {
        let mut fields = T::default();
        Ok(match Fill(&mut fields).deserialize(deserializer)? {
            Found::Object => Maybe::Here(fields),
            Found::Null => Maybe::Absent,
            Found::Other => Maybe::Wrong,
        })
    }
}

/// A list is read element by element into what is stored of it.
trait Elements<'de>: Default {
    fn push<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error>;
}

/// What is alike in reading lists.
macro_rules! lists {
    ($($name:ident)*) => {
        $(impl<'de> Deserialize<'de> for Maybe<$name<'de>> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reading;
                impl<'de> Visitor<'de> for Reading {
                    type Value = Maybe<$name<'de>>;
                    anything!();
                    otherwise! { Maybe::Wrong; visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str, }
                    otherwise_skip!(map Maybe::Wrong);

                    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                        Ok(Maybe::Absent)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                        let mut list = $name::default();
                        while list.push(&mut seq)? {}
                        Ok(Maybe::Here(list))
                    }
                }
                deserializer.deserialize_any(Reading)
            }
        })*
    };
}

lists! { List Facets Features }

impl<'de> Elements<'de> for List<'de> {
    fn push<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        if self.items.len() >= ELEMENTS_MAX {
            let more = seq.next_element::<IgnoredAny>()?.is_some();
            self.dropped += u32::from(more);
            return Ok(more);
        }
        match seq.next_element::<Text<'de>>()? {
            Some(Maybe::Here(item)) => self.items.push(item),
            Some(Maybe::Wrong) => self.wrong = true,
            Some(Maybe::Absent) => {}
            None => return Ok(false),
        }
        Ok(true)
    }
}

impl<'de> Elements<'de> for Facets<'de> {
    fn push<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(facet) = seq.next_element::<Maybe<Facet<'de>>>()? else { return Ok(false) };
        if let Some(features) = facet.here().and_then(|facet| facet.features.here()) {
            self.dropped += features.dropped;
            for tag in features.tags {
                push_bounded(&mut self.tags, tag, &mut self.dropped);
            }
        }
        Ok(true)
    }
}

impl<'de> Elements<'de> for Features<'de> {
    fn push<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(feature) = seq.next_element::<Maybe<Feature<'de>>>()? else { return Ok(false) };
        if let Maybe::Here(Feature { kind_name, tag: Maybe::Here(tag) }) = feature
            && kind_name.is(TAG_FEATURE)
        {
            push_bounded(&mut self.tags, tag, &mut self.dropped);
        }
        Ok(true)
    }
}

fn push_bounded<'a>(tags: &mut Vec<Cow<'a, str>>, tag: Cow<'a, str>, dropped: &mut u32) {
    if tags.len() < ELEMENTS_MAX {
        tags.push(tag);
    } else {
        *dropped += 1;
    }
}
