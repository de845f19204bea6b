//! The routes: HTTP to questions, answers to HTTP. Everything is JSON, errors too.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use serde::Deserialize;

use crate::engine::request::Refusal;
use crate::io::clock;
use crate::io::http::api::{Api, JobsWanted, Question, RowsWanted};
use crate::io::http::auth::Caller;
use crate::io::http::documents::request::{ENVELOPE_BYTES_MAX, Envelope};
use crate::io::http::documents::sync::{ApplyDocument, GoBackDocument, ResumeDocument};
use crate::io::http::documents::{ErrorDocument, ErrorEntry};
use crate::io::http::feed::READERS_MAX;
use crate::io::http::stream;
use crate::time::{Timestamp, parse_duration};

/// How many rows one answer holds where none is said.
const ROWS_DEFAULT: usize = 50;
/// How many rows one answer may hold.
pub const ROWS_MAX: usize = 10_000;
/// How many fire times one answer holds where none is said.
const FIRES_DEFAULT: usize = 10;
/// How many fire times one answer may hold.
pub const FIRES_MAX: usize = 1_000;
/// How much the conditions of an apply may be, in bytes.
const APPLY_BYTES_MAX: usize = 4096;
/// How many applied plans one answer holds where none is said.
const PLANS_DEFAULT: usize = 20;
/// How many applied plans one answer may hold.
pub const PLANS_MAX: usize = 1_000;
/// Who it was, where nobody says.
const NOBODY: &str = "api";
/// The header by which a reader says how far it came.
const LAST_EVENT_ID: &str = "last-event-id";
/// The words of outcomes.
const OUTCOMES: [&str; 7] =
    ["succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed"];

/// Each path below `/api/v1`, and what is done there.
fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/jobs", get(jobs)),
        ("/jobs/{name}", get(job)),
        ("/executions", get(executions)),
        ("/executions/{id}", get(execution)),
        ("/executions/{id}/output", get(output)),
        ("/next", get(next)),
        ("/overrides", get(overrides)),
        ("/plan", get(plan)),
        ("/plans", get(plans)),
        ("/sync", get(sync).post(apply)),
        ("/sync/rollback", post(go_back)),
        ("/sync/resume", post(resume)),
        ("/status", get(status)),
        ("/requests", post(requests)),
        ("/events", get(events)),
    ]
}

/// The paths that the API has. Pieces that vary stand in braces.
pub fn paths() -> impl Iterator<Item = String> {
    routes().into_iter().map(|(path, _)| format!("/api/v1{path}"))
}

/// The whole API, for a caller who was let in.
pub(super) fn router(api: Api) -> Router {
    let v1 = routes().into_iter().fold(Router::new(), |v1, (path, route)| v1.route(path, route));
    Router::new()
        .nest("/api/v1", v1)
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(api)
}

async fn jobs(State(api): State<Api>, query: Parameters<JobsQuery>) -> Response {
    let wanted = parameters(query).map(|JobsQuery { group, tag }| {
        let tags = tag.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
        Question::Jobs(JobsWanted { group, tags })
    });
    answer(&api, wanted).await
}

async fn job(State(api): State<Api>, name: Piece) -> Response {
    answer(&api, piece(name).map(|name| Question::Job { name })).await
}

async fn executions(State(api): State<Api>, query: Parameters<RowsQuery>) -> Response {
    let wanted = parameters(query).and_then(rows_wanted);
    answer(&api, wanted.map(Question::Executions)).await
}

async fn execution(State(api): State<Api>, id: Piece) -> Response {
    answer(&api, piece(id).map(|id| Question::Execution { id })).await
}

async fn output(State(api): State<Api>, id: Piece) -> Response {
    answer(&api, piece(id).map(|id| Question::Output { id })).await
}

async fn next(State(api): State<Api>, query: Parameters<NextQuery>) -> Response {
    let wanted = parameters(query).and_then(|NextQuery { job, from, until, n }| {
        let jobs = job.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
        let count = bounded("n", n, FIRES_DEFAULT, FIRES_MAX)?;
        Ok(Question::Next { jobs, from, until, count })
    });
    answer(&api, wanted).await
}

async fn overrides(State(api): State<Api>) -> Response {
    answer(&api, Ok(Question::Overrides)).await
}

async fn plan(State(api): State<Api>, query: Parameters<PlanQuery>) -> Response {
    let wanted = parameters(query);
    answer(&api, wanted.map(|PlanQuery { definitions }| Question::Plan { definitions })).await
}

async fn plans(State(api): State<Api>, query: Parameters<PlansQuery>) -> Response {
    let wanted = parameters(query).and_then(|PlansQuery { limit }| {
        Ok(Question::Plans { limit: bounded("limit", limit, PLANS_DEFAULT, PLANS_MAX)? })
    });
    answer(&api, wanted).await
}

async fn sync(State(api): State<Api>) -> Response {
    answer(&api, Ok(Question::Sync)).await
}

async fn go_back(State(api): State<Api>, who: Extension<Caller>, body: Body) -> Response {
    let document = small(body).await.and_then(|body| GoBackDocument::read(&body));
    let document =
        document.map(|said| GoBackDocument { actor: who.actor().or(said.actor), ..said });
    answer(&api, document.map(Question::GoBack)).await
}

async fn resume(State(api): State<Api>, who: Extension<Caller>, body: Body) -> Response {
    let document = small(body).await.and_then(|body| ResumeDocument::read(&body));
    let document = document.map(|said| ResumeDocument { actor: who.actor().or(said.actor) });
    answer(&api, document.map(Question::Resume)).await
}

/// A body of a few words.
async fn small(body: Body) -> Result<Bytes, Refusal> {
    to_bytes(body, APPLY_BYTES_MAX).await.map_err(|_| {
        bad(
            "the conditions are too large, or broke off".to_owned(),
            &format!("send at most {APPLY_BYTES_MAX} bytes"),
        )
    })
}

async fn apply(State(api): State<Api>, who: Extension<Caller>, body: Body) -> Response {
    let only = small(body).await.and_then(|body| ApplyDocument::read(&body));
    let actor = who.actor().unwrap_or_else(|| NOBODY.to_owned());
    let question = only.map(|only| Question::Apply { actor, only });
    answer(&api, question).await
}

async fn status(State(api): State<Api>) -> Response {
    answer(&api, Ok(Question::Status)).await
}

async fn requests(State(api): State<Api>, who: Extension<Caller>, body: Body) -> Response {
    let envelope = match to_bytes(body, ENVELOPE_BYTES_MAX).await {
        Ok(body) => Envelope::read(&body, &clock::unique_id()),
        Err(_) => Err(too_large()),
    };
    let envelope = envelope.map(|mut envelope| {
        // Whoever has a token is who the token says, whatever the envelope says.
        envelope.request.actor = who.actor().or(envelope.request.actor);
        envelope
    });
    answer(&api, envelope.map(|envelope| Question::Request(Box::new(envelope)))).await
}

pub(super) fn too_large() -> Refusal {
    Refusal {
        code: "E0413",
        message: "the request is too large, or broke off".to_owned(),
        help: Some(format!("send at most {ENVELOPE_BYTES_MAX} bytes")),
    }
}

async fn events(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Parameters<EventsQuery>,
) -> Response {
    let reader = parameters(query).and_then(|EventsQuery { since, follow }| {
        // Whoever lost the connection asks with the same address, and says how far it came.
        let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
        let since = last.or(since.as_deref()).map(str::parse).transpose();
        let since = since.map_err(|_| {
            bad("`since` is no id of an event".to_owned(), "write the `id` of an event, or 0")
        })?;
        let too_many = || Refusal {
            code: "E0503",
            message: format!("{READERS_MAX} read events already"),
            help: Some("try again when one of them has ended".to_owned()),
        };
        api.events.read(since, follow.unwrap_or(true)).ok_or_else(too_many)
    });
    match reader {
        Ok(reader) => stream::events(reader),
        Err(refusal) => refused(&refusal),
    }
}

/// A piece of the path.
type Piece = Result<Path<String>, PathRejection>;

fn piece(piece: Piece) -> Result<String, Refusal> {
    let bad_path = |error: PathRejection| bad(error.body_text(), "write it as UTF-8, encoded");
    piece.map(|Path(piece)| piece).map_err(bad_path)
}

/// The parameters behind the `?`.
type Parameters<T> = Result<Query<T>, QueryRejection>;

fn parameters<T>(parameters: Parameters<T>) -> Result<T, Refusal> {
    let bad_query = |error: QueryRejection| bad(error.body_text(), "leave out what is not known");
    parameters.map(|Query(parameters)| parameters).map_err(bad_query)
}

/// Parameters of `GET jobs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobsQuery {
    group: Option<String>,
    tag: Option<String>,
}

/// Parameters of `GET executions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsQuery {
    job: Option<String>,
    outcome: Option<String>,
    last: Option<String>,
    revision: Option<String>,
    limit: Option<usize>,
}

/// Parameters of `GET plans`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlansQuery {
    limit: Option<usize>,
}

/// Parameters of `GET plan`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanQuery {
    #[serde(default)]
    definitions: bool,
}

/// Parameters of `GET events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    since: Option<String>,
    follow: Option<bool>,
}

/// Parameters of `GET next`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextQuery {
    job: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    n: Option<usize>,
}

fn rows_wanted(query: RowsQuery) -> Result<RowsWanted, Refusal> {
    let outcomes: Vec<String> =
        query.outcome.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
    if let Some(unknown) = outcomes.iter().find(|word| !OUTCOMES.contains(&word.as_str())) {
        let message = format!("`{}` is no outcome", unknown.escape_debug());
        return Err(bad(message, &format!("outcomes are {}", OUTCOMES.join(", "))));
    }
    let last = query.last.as_deref().map(parse_duration).transpose();
    let last = last.map_err(|error| bad(error.to_string(), "write `last=7d`"))?;
    let limit = bounded("limit", query.limit, ROWS_DEFAULT, ROWS_MAX)?;
    Ok(RowsWanted { job: query.job, outcomes, last, revision: query.revision, limit })
}

async fn nothing_here() -> Response {
    let help = "the API is under `/api/v1`";
    let refusal = Refusal {
        code: "E0404",
        message: "there is nothing here".to_owned(),
        help: Some(help.to_owned()),
    };
    refused(&refusal)
}

async fn wrong_method() -> Response {
    let entry = ErrorEntry {
        code: "E0405".to_owned(),
        message: "this path does not take that method".to_owned(),
        help: None,
    };
    json(StatusCode::METHOD_NOT_ALLOWED, body(&ErrorDocument::new(entry)))
}

/// Asks, unless the question itself is refused.
async fn answer(api: &Api, question: Result<Question, Refusal>) -> Response {
    let answer = match question {
        Ok(question) => api.ask(question).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(document) => json(StatusCode::OK, document),
        Err(refusal) => refused(&refusal),
    }
}

pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        "E0401" => StatusCode::UNAUTHORIZED,
        "E0403" => StatusCode::FORBIDDEN,
        "E0404" => StatusCode::NOT_FOUND,
        "E0413" => StatusCode::PAYLOAD_TOO_LARGE,
        "E0421" => StatusCode::MISDIRECTED_REQUEST,
        "E0429" => StatusCode::TOO_MANY_REQUESTS,
        "E0503" => StatusCode::SERVICE_UNAVAILABLE,
        code if code.starts_with("E04") => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    };
    json(status, body(&ErrorDocument::new(ErrorEntry::of(refusal))))
}

fn json(status: StatusCode, body: String) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, body).into_response()
}

/// A document as text, laid out for people; it begins with its `schema`.
pub fn body(document: &impl serde::Serialize) -> String {
    // Documents hold texts, numbers and lists of them: nothing that JSON cannot say.
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn bounded(name: &str, given: Option<usize>, default: usize, max: usize) -> Result<usize, Refusal> {
    let count = given.unwrap_or(default);
    if (1..=max).contains(&count) {
        return Ok(count);
    }
    Err(bad(format!("`{name}` is {count}"), &format!("it may be 1 to {max}")))
}

fn bad(message: String, help: &str) -> Refusal {
    Refusal { code: "E0400", message, help: Some(help.to_owned()) }
}
