//! The one table of routes: the router is built from it, and so is the OpenAPI document. A route that is not here is
//! neither served nor described.

use std::sync::Arc;

use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};

use super::{channel, conversation, runs, server};
use crate::server::openapi::{SchemaOf, of, server_sent_events};
use crate::server::request::Format;
use crate::server::{App, ServerOptions};
use crate::wire::Event;
use crate::wire::event::RunResult;
use crate::wire::line::SubscriptionSchema;
use crate::wire::request::{
    CompleteRequest, DispatchAnswer, DispatchRequest, Health, LARGEST_PAGE, PublishAnswer, PublishRequest, RunList,
    RunStatus, RunSummary, ServerInfo, StopRequest, SubscribeRequest,
};

/// The method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Verb {
    /// Asks.
    Get,
    /// Does.
    Post,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Access {
    /// Whoever shows a secret of an account.
    Account,
    /// Whoever shows the secret of the metrics.
    Metrics,
    /// Anyone.
    Anyone,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Place {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
    /// In the head.
    Header,
}

/// A parameter of a route.
pub(in crate::server) struct Parameter {
    pub(in crate::server) name: &'static str,
    pub(in crate::server) place: Place,
    pub(in crate::server) description: &'static str,
    pub(in crate::server) schema: fn() -> Value,
}

/// The body of a request.
pub(in crate::server) struct Body {
    pub(in crate::server) schema: SchemaOf,
    pub(in crate::server) required: bool,
    /// Names with JSON.
    pub(in crate::server) examples: &'static [(&'static str, &'static str)],
}

/// One form of an answer.
pub(in crate::server) struct Answer {
    pub(in crate::server) media: &'static str,
    pub(in crate::server) schema: SchemaOf,
    /// Names with JSON.
    pub(in crate::server) examples: &'static [(&'static str, &'static str)],
}

/// What is said about a route.
pub(in crate::server) struct Doc {
    pub(in crate::server) id: &'static str,
    pub(in crate::server) tag: &'static str,
    pub(in crate::server) summary: &'static str,
    pub(in crate::server) description: &'static str,
    pub(in crate::server) access: Access,
    pub(in crate::server) parameters: &'static [Parameter],
    pub(in crate::server) body: Option<Body>,
    /// What a 200 means.
    pub(in crate::server) answered: &'static str,
    pub(in crate::server) answers: Vec<Answer>,
}

/// A route: where it is, what answers it, what is said about it.
pub(in crate::server) struct Route {
    pub(in crate::server) verb: Verb,
    /// Below `/v1` and `/api/v1`.
    pub(in crate::server) path: &'static str,
    pub(in crate::server) handler: MethodRouter<Arc<App>>,
    pub(in crate::server) doc: Doc,
}

const TIMEZONE: Parameter = Parameter {
    name: "X-Timezone",
    place: Place::Header,
    description: "The IANA name of the person's time zone, such as `Europe/Berlin`",
    schema: text,
};

const CHANNEL: Parameter = Parameter {
    name: "channelId",
    place: Place::Path,
    description: "The channel, of the caller's account; the same id under another account is another channel",
    schema: channel_id,
};

fn text() -> Value {
    json!({"type": "string"})
}

fn channel_id() -> Value {
    json!({"$ref": "#/components/schemas/ChannelId"})
}

const PROMPT: (&str, &str) = ("prompt", r#"{"messages": [{"type": "user", "text": "What is new?"}]}"#);

const FUNCTION: (&str, &str) = (
    "function",
    r#"{
        "messages": [{"type": "user", "text": "Deploy it."}],
        "backstory": "You look after the servers.",
        "functions": [{
            "name": "approve",
            "description": "Asks a person",
            "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
            "result": {"channel": "answers-0123456789abcdef"}
        }],
        "limits": {"iterations": 5, "calls": 3}
    }"#,
);

const ID_ANSWER: (&str, &str) = ("channel", r#"{"id": "run-0123456789abcdefghij"}"#);

const RUN: &str = r#"{"channelId": "run-0123456789abcdefghij", "title": "Deploy it.", "status": "waiting", "model": "m",
    "createdAt": 1760000000000, "waiting": ["approve"],
    "waitingOn": [{"function": "approve", "channel": "answers-0123456789abcdef", "expiresAt": 1760000900000}]}"#;

fn document(schema: SchemaOf, examples: &'static [(&'static str, &'static str)]) -> Vec<Answer> {
    let form = |format: Format| Answer {
        media: format.content_type(),
        schema,
        examples,
    };
    vec![form(Format::Json), form(Format::Jsonl)]
}

/// Every route of a server with these options.
pub(in crate::server) fn routes(options: &ServerOptions) -> Vec<Route> {
    let mut routes = conversations();
    routes.extend(channels());
    routes.extend(about());
    if options.metrics.is_some() {
        routes.push(metrics());
    }
    if options.allow_stop {
        routes.push(stop());
    }
    routes
}

fn conversations() -> Vec<Route> {
    vec![
        Route {
            verb: Verb::Post,
            path: "/conversation/dispatch",
            handler: post(conversation::dispatch),
            doc: Doc {
                id: "dispatchConversation",
                tag: "conversation",
                summary: "Start a run in the background",
                description: "Answers as soon as the run is queued durably; it goes on whether or not anyone is \
                    connected, and its events go to the channel. The same dispatch again, with the same `channelId` \
                    and the same body, is answered the same and starts nothing; another body on a channel that holds a \
                    run is a `CONFLICT`.",
                access: Access::Account,
                parameters: &[TIMEZONE],
                body: Some(Body {
                    schema: of::<DispatchRequest>,
                    required: true,
                    examples: &[PROMPT, FUNCTION],
                }),
                answered: "The run is queued",
                answers: document(
                    of::<DispatchAnswer>,
                    &[("run", r#"{"channelId": "run-0123456789abcdefghij"}"#)],
                ),
            },
        },
        Route {
            verb: Verb::Post,
            path: "/conversation/complete",
            handler: post(conversation::complete),
            doc: Doc {
                id: "completeConversation",
                tag: "conversation",
                summary: "Carry out a run inline",
                description: "The same as a dispatch, with the events in the answer. The run ends when its client leaves.",
                access: Access::Account,
                parameters: &[TIMEZONE],
                body: Some(Body {
                    schema: of::<CompleteRequest>,
                    required: true,
                    examples: &[PROMPT, FUNCTION],
                }),
                answered: "The result, or the events as they come, the last of them `result` or `error`",
                answers: vec![
                    Answer {
                        media: Format::Json.content_type(),
                        schema: of::<RunResult>,
                        examples: &[(
                            "result",
                            r#"{"text": "All is well.", "usage": {"token": 12}, "end": {"reason": "stop"}}"#,
                        )],
                    },
                    Answer {
                        media: Format::Jsonl.content_type(),
                        schema: of::<Event>,
                        examples: &[("token", r#"{"type": "token", "data": {"token": "All "}}"#)],
                    },
                    Answer {
                        media: Format::Sse.content_type(),
                        schema: server_sent_events,
                        examples: &[],
                    },
                ],
            },
        },
    ]
}

fn channels() -> Vec<Route> {
    vec![
        Route {
            verb: Verb::Post,
            path: "/channel/{channelId}/subscribe",
            handler: post(channel::subscribe),
            doc: Doc {
                id: "subscribeChannelMessages",
                tag: "channel",
                summary: "Read a channel",
                description: "A stream that stays open: first what is retained and asked for, then what comes. A client \
                    leaves when it has seen `result` or `error`. A single space (a comment in server-sent events) shows \
                    life after silence.",
                access: Access::Account,
                parameters: &[
                    CHANNEL,
                    Parameter {
                        name: "Last-Event-ID",
                        place: Place::Header,
                        description: "In server-sent events, the same as `after`",
                        schema: text,
                    },
                ],
                body: Some(Body {
                    schema: of::<SubscribeRequest>,
                    required: false,
                    examples: &[
                        ("history", r#"{"historyLength": 1000}"#),
                        ("resume", r#"{"after": 41}"#),
                    ],
                }),
                answered: "The lines of the channel",
                answers: vec![
                    Answer {
                        media: Format::Jsonl.content_type(),
                        schema: of::<SubscriptionSchema>,
                        examples: &[
                            (
                                "event",
                                r#"{"type": "message", "id": 42, "createdAt": 1760000000000,
                                    "data": {"type": "token", "data": {"token": "All "}}}"#,
                            ),
                            ("published", r#"{"type": "message", "data": {"any": "value"}}"#),
                            ("gap", r#"{"type": "gap", "data": {"missing": 3}}"#),
                            ("reset", r#"{"type": "reset", "data": {}}"#),
                        ],
                    },
                    Answer {
                        media: Format::Sse.content_type(),
                        schema: server_sent_events,
                        examples: &[],
                    },
                ],
            },
        },
        Route {
            verb: Verb::Post,
            path: "/channel/{channelId}/publish",
            handler: post(channel::publish),
            doc: Doc {
                id: "publishChannelMessage",
                tag: "channel",
                summary: "Publish on a channel",
                description: "Delivered to who subscribes now, and to a run that waits for it; not retained.",
                access: Access::Account,
                parameters: &[CHANNEL],
                body: Some(Body {
                    schema: of::<PublishRequest>,
                    required: true,
                    examples: &[(
                        "answer",
                        r#"{"message": {"data": {"approved": true}, "from": "laptop-2"}}"#,
                    )],
                }),
                answered: "It was published",
                answers: document(of::<PublishAnswer>, &[ID_ANSWER]),
            },
        },
        Route {
            verb: Verb::Post,
            path: "/channel/{channelId}/cancel",
            handler: post(channel::cancel),
            doc: Doc {
                id: "cancelChannel",
                tag: "channel",
                summary: "Stop a channel's run",
                description: "The run says `abort` and then `result` with the reason `abort`; answered when that is durable. \
                    A run that is over stays as it is.",
                access: Access::Account,
                parameters: &[CHANNEL],
                body: None,
                answered: "The run has ended",
                answers: document(of::<PublishAnswer>, &[ID_ANSWER]),
            },
        },
    ]
}

const LIST_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "take",
        place: Place::Query,
        description: "How many at most. Without it a page has 100, and a stream of lines has all",
        schema: || json!({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}),
    },
    Parameter {
        name: "cursor",
        place: Place::Query,
        description: "The `cursor` of the page before",
        schema: text,
    },
    Parameter {
        name: "order",
        place: Place::Query,
        description: "By the time of their dispatch",
        schema: || json!({"type": "string", "enum": ["desc", "asc"], "default": "desc"}),
    },
    Parameter {
        name: "status",
        place: Place::Query,
        description: "One or more of queued, running, waiting, ended, failed, separated by commas",
        schema: || {
            let one = RunStatus::ALL.map(RunStatus::as_str).join("|");
            json!({"type": "string", "pattern": format!("^({one})(,({one}))*$")})
        },
    },
];

fn about() -> Vec<Route> {
    vec![
        Route {
            verb: Verb::Get,
            path: "/run/list",
            handler: get(runs::list),
            doc: Doc {
                id: "listRuns",
                tag: "run",
                summary: "List the account's runs",
                description: "The newest first, by pages; runs that are dispatched meanwhile shift nothing. As lines, each \
                    run is one, and all of them come.",
                access: Access::Account,
                parameters: LIST_PARAMETERS,
                body: None,
                answered: "The runs",
                answers: vec![
                    Answer {
                        media: Format::Json.content_type(),
                        schema: of::<RunList>,
                        examples: &[("none", r#"{"items": []}"#)],
                    },
                    Answer {
                        media: Format::Jsonl.content_type(),
                        schema: of::<RunSummary>,
                        examples: &[("waiting", RUN)],
                    },
                ],
            },
        },
        Route {
            verb: Verb::Get,
            path: "/server",
            handler: get(server::info),
            doc: Doc {
                id: "fetchServer",
                tag: "server",
                summary: "What the server says about itself",
                description: "Its version, its model, how long it keeps events, and its limits.",
                access: Access::Account,
                parameters: &[],
                body: None,
                answered: "The server",
                answers: document(
                    of::<ServerInfo>,
                    &[(
                        "server",
                        r#"{"version": "0.1.0", "model": "demo", "demo": true,
                            "retention": {"seconds": 3600, "events": 10000}, "limits": {"iterations": 20}}"#,
                    )],
                ),
            },
        },
        Route {
            verb: Verb::Get,
            path: "/health",
            handler: get(server::health),
            doc: Doc {
                id: "fetchHealth",
                tag: "server",
                summary: "Whether the server answers",
                description: "For load balancers and containers.",
                access: Access::Anyone,
                parameters: &[],
                body: None,
                answered: "It does",
                answers: document(of::<Health>, &[("ok", r#"{"status": "ok"}"#)]),
            },
        },
        Route {
            verb: Verb::Get,
            path: "/openapi.json",
            handler: get(server::openapi),
            doc: Doc {
                id: "fetchOpenapi",
                tag: "server",
                summary: "This document",
                description: "Made from the server's own types.",
                access: Access::Anyone,
                parameters: &[],
                body: None,
                answered: "An OpenAPI 3.1 document",
                answers: vec![Answer {
                    media: Format::Json.content_type(),
                    schema: of::<crate::wire::Object>,
                    examples: &[],
                }],
            },
        },
    ]
}

fn metrics() -> Route {
    Route {
        verb: Verb::Get,
        path: "/metrics",
        handler: get(server::metrics),
        doc: Doc {
            id: "fetchMetrics",
            tag: "server",
            summary: "What the server counts",
            description: "For Prometheus, which shows the secret of the metrics; a server without one has no such route.",
            access: Access::Metrics,
            parameters: &[],
            body: None,
            answered: "The metrics as text",
            answers: vec![Answer {
                media: crate::server::metrics::CONTENT_TYPE,
                schema: |_| schemars::json_schema!({"type": "string"}),
                examples: &[],
            }],
        },
    }
}

fn stop() -> Route {
    Route {
        verb: Verb::Post,
        path: "/server/stop",
        handler: post(server::stop),
        doc: Doc {
            id: "stopServer",
            tag: "server",
            summary: "Stop the local server",
            description: "Only the local server has this route. Runs that have not ended need `force`.",
            access: Access::Account,
            parameters: &[],
            body: Some(Body {
                schema: of::<StopRequest>,
                required: false,
                examples: &[("force", r#"{"force": true}"#)],
            }),
            answered: "It stops",
            answers: document(of::<crate::wire::Object>, &[("stopping", "{}")]),
        },
    }
}
