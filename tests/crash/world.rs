//! What a round knows: its runs, what was seen and acknowledged of them, the server of the moment, and what went
//! wrong.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::plan::Plan;

/// A server that can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Counts the servers of the round.
    pub server: usize,
    pub url: String,
}

/// How far a dispatch is known to have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dispatched {
    /// Not sent, or refused: there is no such run.
    #[default]
    No,
    /// Sent, and nobody knows.
    Perhaps,
    /// Acknowledged.
    Yes,
}

/// How an answer was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Acknowledged,
    Refused,
    /// The server went meanwhile.
    Unknown,
}

/// An answer that was published.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What the model is to read.
    pub content: String,
    /// What was published.
    pub message: Value,
    /// The calls that were shown to wait, and not to have ended, when it was sent.
    pub shown: Vec<String>,
    pub sent: Sent,
    /// When it was sent and when that was acknowledged, counted in such moments of its run.
    pub begun: u64,
    pub acknowledged: Option<u64>,
}

/// What is known of one run.
#[derive(Debug, Default)]
pub struct Known {
    pub dispatched: Dispatched,
    /// The prompts whose dispatch was acknowledged.
    pub acknowledged: HashSet<String>,
    pub channel: Option<String>,
    /// Every line that any subscriber was shown, by its id.
    pub seen: BTreeMap<u64, String>,
    /// The calls that were shown to wait, by their channels.
    pub waiting: HashMap<String, Vec<String>>,
    /// The last event was shown.
    pub ended: bool,
    /// The answers that were published, by their channels, in their order.
    pub attempts: HashMap<String, Vec<Attempt>>,
    /// How many moments there were at which answers were sent or acknowledged.
    pub moments: u64,
    /// Somebody asked to cancel it.
    pub cancel_sent: bool,
    /// The server that acknowledged the cancelling.
    pub cancelled_in: Option<usize>,
    /// The turns for which a server asked the model.
    pub asked: HashSet<(usize, usize)>,
    /// The results that the model was given, by turn and call.
    pub heard: HashMap<(usize, usize), String>,
}

/// A run of the round.
#[derive(Debug)]
pub struct Run {
    pub plan: Plan,
    known: Mutex<Known>,
    /// Something of it has changed.
    pub changed: Notify,
    /// Nobody needs to look any more.
    pub over: CancellationToken,
}

impl Known {
    /// The next moment.
    pub fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }
}

impl Run {
    pub fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moments at which a server may be killed.
#[derive(Debug, Default)]
pub struct Moments {
    pub dispatched: Notify,
    pub waiting: Notify,
    pub answered: Notify,
    pub cancelled: Notify,
    pub ended: Notify,
}

/// One round.
pub struct World {
    pub secret: String,
    pub client: reqwest::Client,
    pub runs: Vec<Arc<Run>>,
    pub moments: Moments,
    /// Ends everything that the round has started.
    pub over: CancellationToken,
    tasks: TaskTracker,
    address: watch::Sender<Option<Address>>,
    /// Servers that were asked to end, and not killed.
    clean: Mutex<HashSet<usize>>,
    faults: Mutex<Vec<String>>,
}

impl World {
    pub fn new(secret: String, plans: Vec<Plan>) -> Self {
        let over = CancellationToken::new();
        let run = |plan| {
            Arc::new(Run {
                plan,
                known: Mutex::default(),
                changed: Notify::new(),
                over: over.child_token(),
            })
        };
        Self {
            secret,
            client: client(),
            runs: plans.into_iter().map(run).collect(),
            moments: Moments::default(),
            tasks: TaskTracker::new(),
            address: watch::Sender::new(None),
            clean: Mutex::default(),
            faults: Mutex::default(),
            over,
        }
    }

    pub fn run(&self, name: &str) -> Option<Arc<Run>> {
        self.runs.iter().find(|run| run.plan.name == name).cloned()
    }

    /// Something is wrong.
    pub fn fault(&self, what: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < 20 {
            faults.push(what);
        }
    }

    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a task that ends with the round at the latest; a panic in it is a fault.
    pub fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let world = Arc::clone(self);
        self.tasks.spawn(async move {
            let work = AssertUnwindSafe(work).catch_unwind();
            let panicked = tokio::select! {
                () = world.over.cancelled() => false,
                done = work => done.is_err(),
            };
            if panicked {
                world.fault("a client panicked: see above".to_owned());
            }
        });
    }

    /// Ends every task.
    pub async fn end(&self) {
        self.over.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Says which server there is, if any.
    pub fn set_address(&self, address: Option<Address>) {
        self.address.send_replace(address);
    }

    /// The server, as soon as there is one.
    pub async fn server(&self) -> Address {
        let mut address = self.address.subscribe();
        let found = address.wait_for(Option::is_some).await;
        // The sender is this value's own.
        found.ok().and_then(|found| found.clone()).expect("a server")
    }

    pub fn ends_cleanly(&self, server: usize) {
        self.clean.lock().unwrap_or_else(PoisonError::into_inner).insert(server);
    }

    pub fn was_clean(&self, server: usize) -> bool {
        self.clean
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&server)
    }

    /// How many servers were asked to end.
    pub fn clean_ends(&self) -> u32 {
        let clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(clean.len()).unwrap_or(u32::MAX)
    }

    /// A request to a server. Errors say that the server went, or refused the connection.
    pub async fn post(&self, at: &Address, path: &str, body: &Value) -> Result<reqwest::Response, reqwest::Error> {
        let request = self.client.post(format!("{}/v1/{path}", at.url));
        request.bearer_auth(&self.secret).json(body).send().await
    }

    /// The run list.
    pub async fn list(&self, at: &Address) -> Result<Vec<Value>, reqwest::Error> {
        let request = self.client.get(format!("{}/v1/run/list?take=1000", at.url));
        let list: Value = request.bearer_auth(&self.secret).send().await?.json().await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

fn client() -> reqwest::Client {
    // The client wants a provider even where it never speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .http1_only()
        .build()
        .expect("a client")
}
