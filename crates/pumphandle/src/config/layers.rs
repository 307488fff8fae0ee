//! Layers of the configuration: the file over the defaults, over it the environment and `--set`.
//!
//! First step of reading: merges all layers into one table in which every value has its place.
//! Knows no section and no key but the list of feeds, whose elements are addressed by name.

use record::diagnostic::{Diagnostic, Place};
use record::document::{Node, Table, Value, parse_toml};

use super::reader::nearest;

/// Prefix of our environment variables.
const PREFIX: &str = "PUMPHANDLE__";

/// Lays one tree over another: tables join, everything else is replaced.
pub(super) fn lay_over(base: &mut Table, over: Table) {
    for (key, node) in over {
        match (base.get_mut(&key).map(|below| &mut below.value), node.value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                base.insert(key, Node { value, ..node });
            }
        }
    }
}

/// The path and the value of an environment variable, if it is one of ours:
/// `PUMPHANDLE__FEEDS__BLUESKY__IDLE_TIMEOUT`.
fn environment_path(name: &str) -> Option<Vec<String>> {
    let path = name.strip_prefix(PREFIX)?;
    Some(path.split("__").map(|part| part.to_ascii_lowercase().replace('_', "-")).collect())
}

/// Lays a single value over the tree, at a path such as `panes.lateness` or `feeds.bluesky.rewind`.
fn set(root: &mut Table, path: &[String], value: &str, place: &Place) -> Result<(), Diagnostic> {
    let (Some((last, parents)), true) =
        (path.split_last(), path.iter().all(|part| !part.is_empty()))
    else {
        return Err(Diagnostic::new(place, "a key without its name")
            .hint("write `section.key`, such as `panes.lateness`"));
    };
    if parents.is_empty() && last == "feeds" {
        return set_feeds(root, value, place);
    }
    let mut table = root;
    let mut parents = parents;
    if let Some((first, rest)) = parents.split_first()
        && first == "feeds"
    {
        let Some((name, rest)) = rest.split_first() else {
            return Err(Diagnostic::new(place, "a feed's key without the feed")
                .hint("write `feeds.NAME.key`, such as `feeds.bluesky.rewind`"));
        };
        table = feed(table, name, place)?;
        parents = rest;
    }
    for parent in parents {
        let fresh = || Node::new(Value::Table(Table::new()), place);
        table = match &mut table.entry(parent.clone()).or_insert_with(fresh).value {
            Value::Table(table) => table,
            _ => return Err(Diagnostic::new(place, format!("`{parent}` holds no keys"))),
        };
    }
    table.insert(last.clone(), Node::new(Value::Given(value.to_owned()), place));
    Ok(())
}

/// Sets the whole list, in TOML: `feeds=[{name = "a", kind = "file", path = "-"}]`.
fn set_feeds(root: &mut Table, value: &str, place: &Place) -> Result<(), Diagnostic> {
    let (mut table, errors) = parse_toml(&format!("feeds = {value}"), |_| place.clone());
    match (errors.into_iter().next(), table.remove("feeds")) {
        (None, Some(feeds)) => {
            root.insert("feeds".to_owned(), feeds);
            Ok(())
        }
        (Some(problem), _) => Err(problem
            .hint("the list of feeds is written in TOML; a key of one feed is `feeds.NAME.key`")),
        (None, None) => Err(Diagnostic::new(place, "no list of feeds")),
    }
}

fn feed<'root>(
    root: &'root mut Table,
    name: &str,
    place: &Place,
) -> Result<&'root mut Table, Diagnostic> {
    let feeds = match root.get_mut("feeds").map(|feeds| &mut feeds.value) {
        Some(Value::List(feeds)) => feeds.as_mut_slice(),
        _ => &mut [],
    };
    let names: Vec<String> = feeds.iter().filter_map(name_of).map(str::to_owned).collect();
    match feeds.iter_mut().find(|feed| name_of(feed) == Some(name)).map(|feed| &mut feed.value) {
        Some(Value::Table(feed)) => Ok(feed),
        _ => {
            let problem = Diagnostic::new(place, format!("no feed has the name `{name}`"));
            Err(match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem
                    .hint(format!("feeds are made in the file; there are: {}", names.join(", "))),
            })
        }
    }
}

fn name_of(feed: &Node) -> Option<&str> {
    match &feed.value {
        Value::Table(feed) => match &feed.get("name")?.value {
            Value::Text(name) | Value::Given(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Lays our variables of the environment over the tree.
pub(super) fn lay_environment_over(
    root: &mut Table,
    environment: impl Iterator<Item = (String, String)>,
    errors: &mut Vec<Diagnostic>,
) {
    let ours = environment
        .filter_map(|(name, value)| environment_path(&name).map(|path| (name, path, value)));
    let mut ours: Vec<_> = ours.collect();
    // The list of feeds before the keys of one.
    ours.sort_by(|(a, a_path, _), (b, b_path, _)| (a_path.len(), a).cmp(&(b_path.len(), b)));
    for (name, path, value) in ours {
        errors.extend(set(root, &path, &value, &Place::Environment(name)).err());
    }
}

/// Lays the arguments of `--set` over the tree.
pub(super) fn lay_sets_over(root: &mut Table, sets: &[String], errors: &mut Vec<Diagnostic>) {
    for argument in sets {
        let Some((path, value)) = argument.split_once('=') else {
            let error = Diagnostic::new(&Place::Set(argument.clone()), "a key without a value");
            errors.push(error.hint("write `--set section.key=value`"));
            continue;
        };
        let place = Place::Set(path.trim().to_owned());
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        errors.extend(set(root, &path, value.trim(), &place).err());
    }
}

/// The keys of the first feed in the defaults, which every feed has by default.
pub(super) fn feed_defaults(root: &Table) -> Table {
    let first = match root.get("feeds").map(|feeds| &feeds.value) {
        Some(Value::List(feeds)) => feeds.first(),
        _ => None,
    };
    let mut keys = match first.map(|feed| &feed.value) {
        Some(Value::Table(keys)) => keys.clone(),
        _ => Table::new(),
    };
    keys.retain(|key, _| key != "name" && key != "kind");
    keys
}
