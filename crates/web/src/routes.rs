//! Every endpoint of the API in one table: the router, the check of parameters and roles, and
//! `/api/openapi.json` are made of it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, Query, RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::access::{self, Role};
use crate::api::{
    self, Answer, Call, Room, erasures, events, feeds, handling, places, published, subscriptions,
    tables,
};
use crate::problem::Problem;
use crate::server::{Client, Peer};
use crate::session;
use crate::words::LANGUAGES;

/// Bytes of a question's body; longer ones are refused unread.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes of a parameter.
const TEXT_BYTES_MAX: usize = 200;
/// Characters of a wrong value that a message quotes.
const TEXT_SHOWN_CHARS: usize = 120;

type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
type Schema = fn(&mut SchemaGenerator) -> schemars::Schema;

pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// The least role that may ask.
    role: Role,
    summary: &'static str,
    parameters: &'static [Parameter],
    body: Option<Schema>,
    answers: Answers,
    handler: Handler,
    /// What it takes from the bucket of its asker.
    cost: f64,
}

struct Parameter {
    name: &'static str,
    required: bool,
    takes: Takes,
}

/// What a parameter takes: its check, and its schema in the description.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Text(&'static str),
    /// A topic's id.
    Topic,
    /// A region's code.
    Region,
    /// A region's code, or a word.
    RegionOr(&'static str, &'static str),
    Instant,
    Whole {
        least: i64,
        most: i64,
        says: &'static str,
    },
    Word(&'static [&'static str]),
}

impl Takes {
    fn says(self) -> String {
        match self {
            Takes::Text(says) | Takes::RegionOr(_, says) | Takes::Whole { says, .. } => {
                says.to_owned()
            }
            Takes::Topic => "a topic's id".to_owned(),
            Takes::Region => REGION.to_owned(),
            Takes::Instant => "a date, RFC 3339, or unix seconds".to_owned(),
            Takes::Word(words) => either(words),
        }
    }

    fn schema(self) -> Value {
        let text = || json!({ "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX });
        match self {
            Takes::Text(_)
            | Takes::Topic
            | Takes::Region
            | Takes::RegionOr(..)
            | Takes::Instant => text(),
            Takes::Whole { least, most, .. } => {
                json!({ "type": "integer", "format": "int64", "minimum": least, "maximum": most })
            }
            Takes::Word(words) => json!({ "type": "string", "enum": words }),
        }
    }

    /// Whether a value has the form; what it names is looked up later.
    fn check(self, name: &str, value: &str) -> Result<(), Problem> {
        match self {
            Takes::Word(words) if !words.contains(&value) => {
                Err(Problem::bad_request(format!("`{name}` is {}", either(words))))
            }
            Takes::Whole { least, most, .. } => match value.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                Ok(_) if most < i64::MAX => {
                    Err(Problem::bad_request(format!("`{name}` is between {least} and {most}")))
                }
                Ok(_) => Err(Problem::bad_request(format!("`{name}` is at least {least}"))),
                Err(_) => {
                    Err(Problem::bad_request(format!("`{name}` is no whole number in range")))
                }
            },
            Takes::Word(_) => Ok(()),
            _ if (1..=TEXT_BYTES_MAX).contains(&value.len()) => Ok(()),
            _ => Err(Problem::bad_request(format!(
                "`{name}` has between 1 and {TEXT_BYTES_MAX} bytes"
            ))),
        }
    }
}

/// `a`, `b` or `c`.
fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

enum Answers {
    Json(Schema),
    Other(&'static str),
}

const fn may(name: &'static str, takes: Takes) -> Parameter {
    Parameter { name, required: false, takes }
}

const fn must(name: &'static str, takes: Takes) -> Parameter {
    Parameter { name, required: true, takes }
}

const fn at_least(least: i64, says: &'static str) -> Takes {
    Takes::Whole { least, most: i64::MAX, says }
}

const INSTANT: Takes = Takes::Instant;
const ZONE: Takes =
    Takes::Text("the time zone of sentences, such as `Europe/Berlin`; default: UTC");
const TOPIC: Takes = Takes::Topic;
const REGION: &str = "`001`, a code of ISO 3166-1 or 3166-2, the operator's own, or `lang:xx`";
const TABLE: &str = "counts, verdicts, alerts and the other tables and views";

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

macro_rules! endpoint {
    (
        $method:ident $path:literal, $role:ident, $summary:literal, [$($parameter:expr),*],
        $answers:expr, $handler:path $(, body $body:ty)? $(, cost $cost:literal)?
    ) => {
        Endpoint {
            method: Method::$method,
            path: $path,
            role: Role::$role,
            summary: $summary,
            parameters: &[$($parameter),*],
            body: endpoint!(@or None $(, Some(schema::<$body>))?),
            answers: $answers,
            handler: |call| Box::pin($handler(call)),
            cost: endpoint!(@or 1.0 $(, $cost)?),
        }
    };
    (@or $usual:expr) => { $usual };
    (@or $usual:expr, $given:expr) => { $given };
}

/// The endpoints, in the order in which they are documented.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(GET "/api/v1/status", Viewer, "How far things have come and how much was \
        seen", [], Answers::Json(schema::<api::Status>), api::status),
    endpoint!(GET "/api/v1/topics", Viewer, "Topics, and the regions that each has counts \
        for", [], Answers::Json(schema::<api::Topics>), api::topics),
    endpoint!(GET "/api/v1/regions", Viewer, "Regions with counts and what they are called",
        [may("language", Takes::Word(&LANGUAGES))], Answers::Json(schema::<places::Regions>), places::regions),
    endpoint!(GET "/api/v1/alerts", Viewer, "The latest revision of each alert, last fired \
        first",
        [may("state", Takes::Word(&["open", "ended", "all"])), may("order", Takes::Word(&["fired", "rarity"])), may("topic", TOPIC), may("region", Takes::Region), may("from", INSTANT), may("limit", Takes::Whole { least: 1, most: api::ALERTS_MAX as i64, says: "alerts of a page" }),
         may("after", Takes::Text("`next` of the page \
             before")), may("zone", ZONE)], Answers::Json(schema::<api::Alerts>), api::alerts),
    endpoint!(GET "/api/v1/alerts/{id}", Viewer, "An alert, all its revisions, and what people \
        did with it", [may("zone", ZONE)],
        Answers::Json(schema::<api::OneAlert>), api::alert),
    endpoint!(POST "/api/v1/alerts/{id}/changes", Official, "Acknowledges, assigns, \
            decides, snoozes: 409 if another change was faster", [],
            Answers::Json(schema::<handling::Changed>), handling::change,
            body handling::ChangeAsked),
    endpoint!(GET "/api/v1/subscriptions", Official, "Subscriptions: recipients, topics, channel and times", [],
        Answers::Json(schema::<subscriptions::Subscriptions>), subscriptions::list),
    endpoint!(PUT "/api/v1/subscriptions/{name}", Official, "Makes or changes a \
            subscription: 409 if somebody else was faster", [],
            Answers::Json(schema::<subscriptions::Subscriptions>), subscriptions::set,
            body subscriptions::Wanted),
    endpoint!(DELETE "/api/v1/subscriptions/{name}", Official, "Takes a subscription away",
        [must("after", Takes::Whole { least: 0, most: u32::MAX as i64, says: "the revision \
            that was looked at" })], Answers::Json(schema::<subscriptions::Subscriptions>), subscriptions::remove),
    endpoint!(POST "/api/v1/erasures", Operator, "Erases an author: takes all posts back \
            that can still be taken back", [],
            Answers::Json(schema::<erasures::ErasedShown>), erasures::erase, body erasures::Wanted,
            cost 20.0),
    endpoint!(POST "/api/v1/subscriptions/{name}/test", Official, "Sends a test to every \
            recipient, and says what became of it", [],
            Answers::Json(schema::<subscriptions::TestShown>), subscriptions::test, cost 10.0),
    endpoint!(GET "/api/v1/figures", Viewer, "How good alerts were and how fast people were",
        [may("topic", TOPIC), may("region", Takes::Region)], Answers::Json(schema::<handling::FiguresShown>), handling::figures_of),
    endpoint!(GET "/api/v1/series", Viewer, "Panes and judged windows of one series",
        [must("topic", TOPIC), must("region", Takes::Region), may("from", INSTANT), may("to", INSTANT),
         may("seconds", at_least(1, "only windows of this length, and no \
             panes")), may("every", at_least(1, "only windows whose ends are so many seconds \
             apart"))],
        Answers::Json(schema::<api::Series>), api::series),
    endpoint!(GET "/api/v1/verdicts", Viewer, "What was judged at one instant of a topic's \
        every region, or of a region's every topic",
        [may("topic", TOPIC), may("region", Takes::Region), may("end", INSTANT), may("seconds", at_least(1, "length of the windows"))],
        Answers::Json(schema::<places::Verdicts>), places::verdicts),
    endpoint!(GET "/api/v1/map", Viewer, "Windows of a topic's countries, first levels or \
        languages, day by day",
        [must("topic", TOPIC), may("under", Takes::RegionOr("lang", "`001`, a country, or \
            `lang`")), may("to", INSTANT), may("days", Takes::Whole { least: 1, most: places::DAYS_MAX, says: "days, the last one with `to`" })],
        Answers::Json(schema::<places::Map>), places::map),
    endpoint!(GET "/api/v1/coverage", Viewer, "How much of each feed was seen, pane by pane",
        [may("from", INSTANT)], Answers::Json(schema::<places::Coverage>), places::coverage),
    endpoint!(GET "/api/v1/why-not", Viewer, "Why a series is in no alert",
        [must("topic", TOPIC), must("region", Takes::Region)], Answers::Json(schema::<places::WhyNot>), places::why_not),
    endpoint!(GET "/api/v1/below", Viewer, "Windows of seven days that came nearest to their \
        bound without passing it",
        [], Answers::Json(schema::<places::Below>), places::below),
    endpoint!(GET "/api/v1/references", Viewer, "Official series that were loaded to compare a \
        region with",
        [must("region", Takes::Region)], Answers::Json(schema::<places::References>), places::references),
    endpoint!(GET "/api/v1/export/{table}", Analyst, "A table or view, as CSV or NDJSON",
            [may("from", INSTANT), may("to", INSTANT), may("format", Takes::Word(&["csv", "ndjson"]))], Answers::Other("text/csv"), tables::export,
            cost 10.0),
    endpoint!(GET "/api/v1/events", Viewer, "What is new, as server-sent events: `alert` and \
        `latest`", [],
        Answers::Other("text/event-stream"), events::events),
    endpoint!(GET "/api/v1/public", Public, "What everybody may see: published days of a \
        region's topics, or of a topic's places",
        [may("region", Takes::Region), may("topic", TOPIC), may("under", Takes::RegionOr("001", "with `topic`: `001` or a country"))], Answers::Json(schema::<published::Days>),
        published::days),
    endpoint!(GET "/feeds/{file}", Public, "A feed of alerts (`NAME.atom`) or one of its CAP \
        messages; those that are not public take a token",
        [], Answers::Other("application/atom+xml"), feeds::file),
    endpoint!(GET "/api/v1/session", Public, "Who asks, and what they \
        may", [], Answers::Json(schema::<session::Who>), session::who),
    endpoint!(POST "/api/v1/session", Public, "Opens a session in this browser for a \
            token or the start link", [],
            Answers::Json(schema::<session::Who>), session::sign_in, body session::SignIn,
            cost 20.0),
    endpoint!(DELETE "/api/v1/session", Public, "Ends the session of this \
        browser", [], Answers::Json(schema::<session::Who>), session::sign_out),
    endpoint!(GET "/api/openapi.json", Public, "This \
        description", [], Answers::Other("application/json"), openapi),
];

pub(crate) fn router() -> Router<Arc<Room>> {
    ENDPOINTS.iter().fold(Router::new(), |router, endpoint| {
        let filter = MethodFilter::try_from(endpoint.method.clone()).unwrap_or(MethodFilter::GET);
        router.route(
            endpoint.path,
            on(filter, async move |State(room), path, request: Request| {
                answer(room, endpoint, path, request).await
            }),
        )
    })
}

/// Checks that hold for every endpoint, before its handler runs.
async fn answer(
    room: Arc<Room>,
    endpoint: &Endpoint,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let Ok(path) = path else {
        return Problem::bad_request("the id in this address is no text").into_response();
    };
    match call(room, endpoint, &path, request).await {
        Ok(call) => (endpoint.handler)(call).await.unwrap_or_else(IntoResponse::into_response),
        Err(problem) => problem.into_response(),
    }
}

async fn call(
    room: Arc<Room>,
    endpoint: &Endpoint,
    path: &RawPathParams,
    request: Request,
) -> Result<Call, Problem> {
    // Behind a trusted proxy each client has a bucket of its own.
    if let Some(Client(client)) = request.extensions().get::<Client>() {
        room.limits.take(*client, endpoint.cost, Instant::now()).map_err(Problem::too_many)?;
    }
    if !access::is_ours(request.method(), request.headers()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a change comes from this server's own page, or with a token",
        ));
    }
    let direct = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.address.ip());
    let holder = room.sessions.holder(request.headers(), direct)?;
    if holder.role < endpoint.role {
        let (status, what) = if holder.role == Role::Public {
            (StatusCode::UNAUTHORIZED, "a token")
        } else {
            (StatusCode::FORBIDDEN, "another role")
        };
        return Err(Problem::new(status, format!("this needs {what}: {} or more", endpoint.role)));
    }
    let parameters = parameters(endpoint, request.uri())?;
    check_names(&room, endpoint, &parameters, holder.role).await?;
    let path = path.iter().next().map(|(_, value)| value.to_owned());
    let (parts, body) = request.into_parts();
    let body = if endpoint.method.is_safe() {
        Bytes::new()
    } else {
        read(&parts.headers, body, room.web.body_max).await?
    };
    // After the body, so that slow senders take nobody's place.
    let Ok(permit) = room.requests.clone().try_acquire_owned() else {
        room.too_many.add(1);
        return Err(Problem::busy("too many requests at once, try again"));
    };
    Ok(Call { room, parameters, path, headers: parts.headers, body, holder, _permit: permit })
}

/// Those that were given, each known, well-formed and there once.
fn parameters(endpoint: &Endpoint, uri: &Uri) -> Result<BTreeMap<String, String>, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|why| Problem::bad_request(why.body_text()))?;
    let mut parameters = BTreeMap::new();
    for (name, value) in pairs {
        let Some(parameter) = endpoint.parameters.iter().find(|parameter| parameter.name == name)
        else {
            let known: Vec<&str> =
                endpoint.parameters.iter().map(|parameter| parameter.name).collect();
            let known = if known.is_empty() {
                "there are none here".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            return Err(Problem::bad_request(format!("unknown parameter; {known}")));
        };
        if parameters.contains_key(&name) {
            return Err(Problem::bad_request("duplicate parameter"));
        }
        parameter.takes.check(&name, &value)?;
        parameters.insert(name, value);
    }
    let is_missing = |one: &&Parameter| one.required && !parameters.contains_key(one.name);
    match endpoint.parameters.iter().find(is_missing) {
        Some(missing) => Err(Problem::bad_request(format!("`{}` is missing", missing.name))),
        None => Ok(parameters),
    }
}

/// Refuses topics and regions that there are not: an empty answer to a misspelt name would look
/// like calm.
/// The public is not told whether there is a topic of which it may see no number.
async fn check_names(
    room: &Room,
    endpoint: &Endpoint,
    parameters: &BTreeMap<String, String>,
    role: Role,
) -> Result<(), Problem> {
    for parameter in endpoint.parameters {
        let Some(value) = parameters.get(parameter.name) else { continue };
        let (is_known, what, suggest) = match parameter.takes {
            Takes::Topic if role == Role::Public => {
                let overview = room.overview().await?;
                if overview.is_public_topic(value) || overview.knows_nothing() {
                    continue;
                }
                return Err(Problem::not_found(
                    "there is no topic of this name with published numbers",
                ));
            }
            Takes::Topic => {
                (room.overview().await?.knows_topic(value), "topic", &room.web.suggest_topic)
            }
            Takes::RegionOr(word, _) if value.eq_ignore_ascii_case(word) => continue,
            Takes::Region | Takes::RegionOr(..) => {
                let code = api::region_code(value.clone());
                (
                    room.overview().await?.knows_region(&code, &room.words),
                    "region",
                    &room.web.suggest_region,
                )
            }
            _ => continue,
        };
        if !is_known {
            let hint =
                suggest(value).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let shown: String = value.chars().take(TEXT_SHOWN_CHARS).collect();
            return Err(Problem::not_found(format!("there is no {what} `{shown}`{hint}")));
        }
    }
    Ok(())
}

async fn read(headers: &HeaderMap, body: Body, within: Duration) -> Result<Bytes, Problem> {
    let too_long = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body has at most {BODY_BYTES_MAX} bytes"),
        )
    };
    let reported = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if reported.is_some_and(|reported| reported > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let Ok(body) = tokio::time::timeout(within, axum::body::to_bytes(body, BODY_BYTES_MAX)).await
    else {
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"));
    };
    let body = body.map_err(|_| too_long())?;
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !body.is_empty() && !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a body is `application/json`",
        ));
    }
    Ok(body)
}

/// `GET /api/openapi.json`: made of the table above and of the types of the answers.
async fn openapi(call: Call) -> Answer {
    call.json(&description(&call.room.web.version))
}

/// OpenAPI 3.1.
pub(crate) fn description(version: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: BTreeMap<&str, serde_json::Map<String, Value>> = BTreeMap::new();
    for endpoint in ENDPOINTS {
        let method = endpoint.method.as_str().to_ascii_lowercase();
        let operation = operation(endpoint, &mut generator);
        paths.entry(endpoint.path).or_default().insert(method, operation);
    }
    let mut schemas = Value::Object(generator.take_definitions(true));
    schemas["Problem"] = json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": { "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" } },
    });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "pumphandle", "version": version, "description": "Posts, not cases. \
            Instants are unix seconds.", "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "pumphandle-session" },
            },
        },
    })
}

/// An endpoint in the description.
fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let content = match &endpoint.answers {
        Answers::Json(schema) => {
            json!({ "application/json": { "schema": schema(generator) } })
        }
        Answers::Other(kind) => json!({ (*kind): { "schema": { "type": "string" } } }),
    };
    let problem = json!({ "description": "What went wrong (RFC \
        9457)", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "description": format!("Role: {} or more.", endpoint.role),
        "parameters": described_parameters(endpoint),
        "responses": { "200": { "description": "The \
            answer", "content": content }, "default": problem },
        "security": if endpoint.role == Role::Public { json!([{}, { "token": [] }, { "session": [] }]) } else { json!([{ "token": [] }, { "session": [] }]) },
    });
    if let Some(body) = endpoint.body {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body(generator) } } });
    }
    operation
}

fn described_parameters(endpoint: &Endpoint) -> Vec<Value> {
    let mut parameters: Vec<Value> = endpoint
        .parameters
        .iter()
        .map(|one| {
            let (says, schema) = (one.takes.says(), one.takes.schema());
            json!({ "name": one.name, "in": "query", "required": one.required, "description": says, "schema": schema })
        })
        .collect();
    if let Some(name) = endpoint
        .path
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(name, _)| name)
    {
        let says = match name {
            "table" => TABLE,
            "name" => "a subscription's name",
            "file" => "as feeds call it",
            _ => "an alert's id",
        };
        let schema = json!({ "type": "string", "minLength": 1 });
        parameters.push(json!({ "name": name, "in": "path", "required": true, "description": says, "schema": schema }));
    }
    parameters
}

/// `getAlertsId`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint
        .path
        .trim_start_matches("/api")
        .trim_start_matches("/v1")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        word.chars()
            .take(1)
            .map(|c| c.to_ascii_uppercase())
            .chain(word.chars().skip(1))
            .collect::<String>()
    };
    endpoint.method.as_str().to_ascii_lowercase() + &words.map(capital).collect::<String>()
}
